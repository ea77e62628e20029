"""The E2B API of the sandbox-manager, at `/kruise/api` and natively at `/`.

Endpoints, statuses, fields and messages are those of openkruise/agents, pkg/servers/e2b.
Notably, `POST /v2/sandboxes` and `POST /v2/sandboxes/{id}/connect`, which e2b 2.51 and later
call, are not registered there and answer 405.
"""

from __future__ import annotations

import base64
import json
import posixpath
import re
from collections.abc import Awaitable, Mapping
from functools import lru_cache
from typing import Any, Callable
from urllib.parse import unquote, unquote_plus
from weakref import WeakKeyDictionary

from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)

from kruise_autopatch.protocol import API_PATH, sandbox_host
from kruise_autopatch.protocol.headers import TRAFFIC_TOKEN_ROUTE

from ..data_plane import proxy
from ..data_plane.traffic_tokens import TrafficTokens, is_protected
from ..data_plane.upstream import UpstreamError, ask
from ..endpoints import Endpoints, NoEndpoint
from ..sandbox.pods import PodError
from ..sandbox.sandboxes import NAMESPACE, Sandbox, Sandboxes
from . import api_keys, bodies, rules
from .api_keys import ApiKey, ApiKeys
from .bodies import BadBody
from .errors import ApiError
from .replies import domain_of, refusal, rfc3339, template

DEFAULT_TIMEOUT = 300
MIN_TIMEOUT = 30
MAX_TIMEOUT = 2_592_000
# What a resumed sandbox gets at least (facts of August 2026: "min resume timeout 300").
MIN_RESUME_TIMEOUT = 300
MAX_LIST = 100

# Older than 0.4.0 whatever envd is really there, which makes every SDK send a user name.
ENVD_VERSION = "0.2.10"

# The template's hash, by which the server tells outdated sandboxes.
_HASH = {"sandbox.agents.kruise.io/hash-immutable-part": "vc7vwd5b9"}
_LIST_PARAMETERS = ("state", "limit", "nextToken", "metadata")
_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2}).{0,2}")


class ControlPlane:
    """Answers the API's requests, for the sandboxes of this server."""

    def __init__(
        self,
        sandboxes: Sandboxes,
        tokens: TrafficTokens,
        keys: ApiKeys,
        e2b_domain: str | None,
        *,
        newer: bool = False,
    ) -> None:
        self._sandboxes = sandboxes
        self._tokens = tokens
        self._keys = keys
        self._domain = e2b_domain
        self._newer = newer
        # The same few are asked for again and again.
        self._endpoint = lru_cache(1024)(self._find_endpoint)
        self._written: WeakKeyDictionary[Sandbox, tuple[tuple[str, ...], str]] = WeakKeyDictionary()

    async def serve(self, path: str, request: Request, private: bool) -> Response:
        """Answer an API request; `path` is still escaped and comes without the prefix."""
        clean = _clean(path)
        if clean != path:
            # Go's mux redirects to the clean path.
            return _redirect(request.method, (API_PATH if private else "") + clean)
        if path == "/health" and (self._newer or not private):
            return PlainTextResponse("OK")
        try:
            handler, values = self._endpoint(request.method, path, private)
        except NoEndpoint as missing:
            head = ["HEAD"] if "GET" in missing.allowed else []
            allowed = ", ".join(sorted(missing.allowed + head))
            headers = {"X-Content-Type-Options": "nosniff"}
            if allowed:
                headers["Allow"] = allowed
            return PlainTextResponse(f"{missing}\n", missing.status, headers)
        try:
            if not self._keys.accepts(request.headers.get(api_keys.HEADER)):
                raise ApiError("Invalid API Key", 401)
            return await handler(self, request, values)
        except BadBody as error:
            # The server leaves the code unset.
            return refusal(ApiError(str(error)))
        except PodError as error:
            return refusal(ApiError(str(error), 503))
        except ApiError as error:
            return refusal(error)

    def _find_endpoint(
        self, method: str, path: str, private: bool
    ) -> tuple[Handler, dict[str, str]]:
        # In Go, a pattern for GET serves HEAD too.
        method = "GET" if method == "HEAD" else method
        tables = [_PRIVATE] if private else []
        tables += [_NEWER, _ENDPOINTS] if self._newer else [_ENDPOINTS]
        for table in tables:
            try:
                handler, values = table.find(method, path)
                return handler, {name: unquote(value) for name, value in values.items()}
            except NoEndpoint as missing:
                last = missing
        raise last

    # --- sandboxes ---

    async def _create(self, request: Request, values: dict[str, str]) -> Response:
        body = await bodies.read(request, bodies.NEW_SANDBOX)
        if body["templateID"] not in self._sandboxes.templates:
            raise ApiError("Template or Checkpoint not found", 400)
        timeout = body["timeout"] or DEFAULT_TIMEOUT
        if not MIN_TIMEOUT <= timeout <= MAX_TIMEOUT:
            raise ApiError(f"timeout should between {MIN_TIMEOUT} and {MAX_TIMEOUT}", 400)
        metadata = rules.metadata(body["metadata"])
        options = metadata.options
        network = rules.network(body["network"]["allowOut"], body["network"]["denyOut"])
        for volume in body["volumeMounts"]:
            wanted = str(volume.get("name", ""))
            raise ApiError(
                f"failed to get persistent volume object by name: {wanted}, "
                f'err: PersistentVolume "{wanted}" not found',
                400,
            )
        name = options.get("sandbox-name")
        if name is not None and self._sandboxes.get(f"{NAMESPACE}--{name}") is not None:
            raise ApiError(f'sandboxes.agents.kruise.io "{name}" already exists', 409)
        shown = dict(metadata.shown)
        if options.get("return-sandbox-ip") == "true":
            shown[f"{rules.EXTENSION}sandbox-ip"] = "127.0.0.1"
        sandbox = await self._sandboxes.create(
            template=body["templateID"],
            timeout=None if options.get("never-timeout") == "true" else timeout,
            metadata=shown,
            labels=metadata.labels,
            environment=body["envVars"],
            auto_pause=body["autoPause"],
            network=network,
            name=name,
        )
        reply = _shown(sandbox, self._domain_for(request))
        if is_protected(sandbox):
            # Here only: connect gives none.
            reply.update(self._tokens.issue(sandbox).shown())
        return JSONResponse(reply, 201)

    async def _list(self, request: Request, values: dict[str, str]) -> Response:
        query = request.query_params
        states = query.get("state", "running,paused").split(",")
        if not set(states) <= {"running", "paused"}:
            raise ApiError(
                f"Only 'running' and 'paused' state are supported, not: '{query.get('state')}'",
                400,
            )
        limit = _limit(query)
        wanted = _metadata_filter(query)
        after = _read_token(query.get("nextToken", ""))
        found = sorted(
            (
                sandbox
                for sandbox in self._sandboxes.all()
                if sandbox.state in states
                and all(sandbox.metadata.get(key) == value for key, value in wanted.items())
                and _position(sandbox) > after
            ),
            key=_position,
        )
        page = found[:limit]
        headers = {"x-next-token": _write_token(page[-1])} if len(found) > limit else None
        domain = self._domain_for(request)
        shown = ",".join([self._listed(each, domain) for each in page])
        return Response(f"[{shown}]", headers=headers, media_type="application/json")

    def _listed(self, sandbox: Sandbox, domain: str) -> str:
        """A sandbox in a list, as JSON: written anew only if something about it has changed."""
        state = (domain, sandbox.state, rfc3339(sandbox.shown_end))
        known, text = self._written.get(sandbox, (None, ""))
        if known != state:
            shown = _shown(sandbox, domain, with_token=False)
            text = json.dumps(shown, ensure_ascii=False, separators=(",", ":"))
            self._written[sandbox] = state, text
        return text

    async def _describe(self, request: Request, values: dict[str, str]) -> Response:
        sandbox = self._find(values)
        shown = _shown(sandbox, self._domain_for(request))
        if sandbox.network:
            shown["network"] = sandbox.network
        return JSONResponse(shown)

    async def _delete(self, request: Request, values: dict[str, str]) -> Response:
        await self._sandboxes.kill(self._find(values))
        return _nothing()

    async def _pause(self, request: Request, values: dict[str, str]) -> Response:
        await self._sandboxes.pause(self._find(values))
        return _nothing()

    async def _resume(self, request: Request, values: dict[str, str]) -> Response:
        sandbox = self._find(values)
        try:
            timeout = await _required_timeout(request)
        except (ApiError, BadBody) as error:
            # The server does this on purpose, since E2B answers 500 here.
            raise ApiError(str(error), 500) from error
        await self._sandboxes.resume(sandbox, timeout)
        return _nothing()

    async def _connect(self, request: Request, values: dict[str, str]) -> Response:
        sandbox = self._find(values)
        timeout = await _required_timeout(request)
        if sandbox.state == "paused":
            await self._sandboxes.resume(sandbox, max(timeout, MIN_RESUME_TIMEOUT))
            return JSONResponse(_shown(sandbox, self._domain_for(request)), 201)
        sandbox.extend(timeout)
        return JSONResponse(_shown(sandbox, self._domain_for(request)), 200)

    async def _set_timeout(self, request: Request, values: dict[str, str]) -> Response:
        sandbox = self._find(values)
        try:
            timeout = await _required_timeout(request)
        except (ApiError, BadBody) as error:
            raise ApiError(str(error), 500) from error
        if sandbox.state != "running":
            raise ApiError(
                f"sandbox {sandbox.id} is not running; sandboxResource={NAMESPACE}/{sandbox.name}",
                500,
            )
        sandbox.ends_in(timeout)
        return _nothing()

    async def _set_network(self, request: Request, values: dict[str, str]) -> Response:
        """Kept and shown, but without effect: nothing here limits the network."""
        sandbox = self._find(values)
        try:
            body = await bodies.read(request, bodies.NETWORK_UPDATE)
        except BadBody as error:
            raise ApiError(f"Failed to decode request body: {error}", 400) from error
        sandbox.network = rules.network(body["allowOut"], body["denyOut"])
        return _nothing()

    async def _traffic_token(self, request: Request, values: dict[str, str]) -> Response:
        return JSONResponse(self._tokens.renew(self._find(values)).shown())

    async def _snapshot(self, request: Request, values: dict[str, str]) -> Response:
        sandbox = self._find(values)
        raise ApiError(
            "failed to wait checkpoint ready: there is no checkpoint agent; "
            f"sandboxResource={NAMESPACE}/{sandbox.name}"
        )

    async def _browser(self, request: Request, values: dict[str, str]) -> Response:
        """Chromium's description of itself, its websocket led through here."""
        sandbox = self._find(values)
        port = request.query_params.get("cdpPort", "9222")
        if not re.fullmatch("[0-9]{1,5}", port, re.ASCII) or not 0 < int(port) < 65536:
            raise ApiError(f"invalid cdpPort: {port}", 400)
        where = proxy.address(int(port))
        try:
            reply = json.loads((await ask(where, "GET", "/json/version", {})).body)
            rest = str(reply["webSocketDebuggerUrl"]).partition("://")[2].partition("/")[2]
        except (UpstreamError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ApiError(
                f"Failed to proxy request to sandbox port {port}: failed to proxy request to "
                f'sandbox: Get "http://{where}/json/version": {error}'
            ) from error
        host = sandbox_host(self._domain_for(request), sandbox.id, int(port))
        return JSONResponse({**reply, "webSocketDebuggerUrl": f"wss://{host}/{rest}"})

    # --- newer servers ---

    async def _fork(self, request: Request, values: dict[str, str]) -> Response:
        """More sandboxes like this one. What runs in it is not copied: there is no checkpoint."""
        sandbox = self._find(values)
        try:
            body = await bodies.read(request, bodies.NEW_FORK, strict=True)
        except BadBody as error:
            raise ApiError(str(error), 400) from error
        count, timeout = body["count"] or 1, body["timeout"] or 15
        if not 1 <= count <= MAX_LIST:
            raise ApiError(f"count should between 1 and {MAX_LIST}", 400)
        if sandbox.state != "running":
            raise ApiError(f"sandbox {sandbox.id} is not running", 409)
        forks = []
        for _ in range(count):
            fork = await self._sandboxes.create(
                template=sandbox.template,
                timeout=timeout,
                metadata=sandbox.metadata,
                labels=sandbox.labels,
                environment=sandbox.environment,
                auto_pause=sandbox.auto_pause,
                network=sandbox.network,
            )
            forks.append({"sandbox": _shown(fork, self._domain_for(request))})
        return JSONResponse(forks, 201)

    async def _refresh(self, request: Request, values: dict[str, str]) -> Response:
        sandbox = self._find(values)
        try:
            body = await bodies.read(request, bodies.REFRESH)
        except BadBody as error:
            raise ApiError(str(error), 400) from error
        if not 0 <= body["duration"] <= 3600:
            raise ApiError("duration should between 0 and 3600", 400)
        sandbox.extend(body["duration"])
        return _nothing()

    # --- all else ---

    async def _list_templates(self, request: Request, values: dict[str, str]) -> Response:
        return JSONResponse([template(name) for name in self._sandboxes.templates])

    async def _describe_template(self, request: Request, values: dict[str, str]) -> Response:
        if values["template"] not in self._sandboxes.templates:
            raise ApiError(f"Template not found: {values['template']}", 404)
        return JSONResponse(template(values["template"], with_builds=True))

    async def _delete_template(self, request: Request, values: dict[str, str]) -> Response:
        if values["template"] in self._sandboxes.templates:
            raise ApiError("Deleting templates of a SandboxSet is not allowed", 401)
        return _nothing()

    async def _list_snapshots(self, request: Request, values: dict[str, str]) -> Response:
        _limit(request.query_params)
        return JSONResponse([])

    async def _list_teams(self, request: Request, values: dict[str, str]) -> Response:
        team = {"apiKey": "", "isDefault": True, "name": "admin", "teamID": self._keys.team_id}
        return JSONResponse([team])

    async def _list_keys(self, request: Request, values: dict[str, str]) -> Response:
        return JSONResponse([_shown_key(key) for key in self._keys.all()])

    async def _compatible_key(self, request: Request, values: dict[str, str]) -> Response:
        presented = request.headers.get(api_keys.HEADER, "").strip()
        for key in self._keys.all():
            if key.matches(presented):
                return JSONResponse({"key": key.encoded})
        raise ApiError("API key not found", 404)

    async def _make_key(self, request: Request, values: dict[str, str]) -> Response:
        try:
            name = (await bodies.read(request, bodies.NEW_API_KEY, strict=True))["name"]
        except BadBody as error:
            raise ApiError(str(error), 400) from error
        if not name:
            raise ApiError("api-key name is required", 400)
        key = self._keys.make(name)
        return JSONResponse({**_shown_key(key), "key": key.encoded}, 201)

    async def _remove_key(self, request: Request, values: dict[str, str]) -> Response:
        if not self._keys.remove(values["key"]):
            raise ApiError("API key not found", 404)
        return _nothing()

    async def _debug(self, request: Request, values: dict[str, str]) -> Response:
        return JSONResponse({"Peers": [], "Pools": {}})

    def _find(self, values: Mapping[str, str]) -> Sandbox:
        sandbox = self._sandboxes.get(values["id"])
        if sandbox is None:
            raise ApiError(
                f"Sandbox route not found, maybe it is crashed or killed: {values['id']}", 404
            )
        return sandbox

    def _domain_for(self, request: Request) -> str:
        private = request.url.path.startswith(API_PATH)
        return self._domain or domain_of(request.headers.get("host", ""), native=not private)


Handler = Callable[[ControlPlane, Request, "dict[str, str]"], Awaitable[Response]]

_C = ControlPlane
_ENDPOINTS: Endpoints[Handler] = Endpoints(
    {
        "POST /sandboxes": _C._create,
        "GET /v2/sandboxes": _C._list,
        "GET /sandboxes/{id}": _C._describe,
        "DELETE /sandboxes/{id}": _C._delete,
        "PUT /sandboxes/{id}/network": _C._set_network,
        "POST /sandboxes/{id}/pause": _C._pause,
        "POST /sandboxes/{id}/resume": _C._resume,
        "POST /sandboxes/{id}/connect": _C._connect,
        "POST /sandboxes/{id}/timeout": _C._set_timeout,
        "POST /sandboxes/{id}/snapshots": _C._snapshot,
        "GET /snapshots": _C._list_snapshots,
        "GET /templates": _C._list_templates,
        "GET /templates/{template}": _C._describe_template,
        "DELETE /templates/{template}": _C._delete_template,
        "GET /browser/{id}/json/version": _C._browser,
        "GET /teams": _C._list_teams,
        "GET /api-keys": _C._list_keys,
        "GET /api-keys/compatible": _C._compatible_key,
        "POST /api-keys": _C._make_key,
        "DELETE /api-keys/{key}": _C._remove_key,
        "GET /debug": _C._debug,
    },
    subtrees=True,
)
# Of servers since September 2026.
_NEWER: Endpoints[Handler] = Endpoints(
    {
        "POST /sandboxes/{id}/fork": _C._fork,
        "POST /sandboxes/{id}/refreshes": _C._refresh,
    }
)
# These have no native twin on the server.
_PRIVATE: Endpoints[Handler] = Endpoints(
    {f"POST {TRAFFIC_TOKEN_ROUTE}": _C._traffic_token}, subtrees=True
)


def _clean(path: str) -> str:
    """Go's path.Clean, which keeps a slash at the end."""
    if "//" not in path and "/." not in path:
        return path
    clean = posixpath.normpath("/" + path.lstrip("/"))
    return f"{clean}/" if path.endswith("/") and clean != "/" else clean


def _redirect(method: str, path: str) -> Response:
    if method not in ("GET", "HEAD"):
        return RedirectResponse(path, 307)
    return HTMLResponse(
        f'<a href="{path}">Temporary Redirect</a>.\n\n', 307, headers={"Location": path}
    )


def _nothing() -> Response:
    return Response(status_code=204, headers={"Content-Type": "application/json"})


async def _required_timeout(request: Request) -> int:
    timeout: int = (await bodies.read(request, bodies.SET_TIMEOUT))["timeout"]
    if not 0 < timeout <= MAX_TIMEOUT:
        raise ApiError(f"timeout should between 0 and {MAX_TIMEOUT}", 400)
    return timeout


def _limit(query: Mapping[str, str]) -> int:
    given = query.get("limit", str(MAX_LIST))
    if not re.fullmatch("[0-9]{1,3}", given, re.ASCII) or not 1 <= int(given) <= MAX_LIST:
        raise ApiError(f"Invalid limit: {given}, must be between 1 and {MAX_LIST}", 400)
    return int(given)


def _metadata_filter(query: Mapping[str, str]) -> dict[str, str]:
    """`metadata` is decoded once more; any key that the server does not know is a filter too."""
    wanted = {key: value for key, value in query.items() if key not in _LIST_PARAMETERS}
    given = query.get("metadata", "")
    bad = _BAD_ESCAPE.search(given)
    if bad is not None:
        raise ApiError(f'Invalid metadata format: invalid URL escape "{bad[0]}"', 400)
    for pair in unquote_plus(given).split("&"):
        key, equals, value = pair.partition("=")
        if equals:
            wanted[key] = value
    return wanted


def _position(sandbox: Sandbox) -> str:
    return _position_of(sandbox.started_at, sandbox.id)


@lru_cache(4096)
def _position_of(started_at: float, sandbox_id: str) -> str:
    return f"{rfc3339(started_at)}{started_at:020.6f}{sandbox_id}"


def _write_token(sandbox: Sandbox) -> str:
    token = json.dumps({"key": _position(sandbox), "id": sandbox.id})
    return base64.b64encode(token.encode()).decode()


def _read_token(token: str) -> str:
    """The position that a token stands for; one that is none of ours is taken for a position."""
    try:
        return str(json.loads(base64.b64decode(token, validate=True))["key"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return token


def _shown(sandbox: Sandbox, domain: str, *, with_token: bool = True) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "templateID": sandbox.template,
        "sandboxID": sandbox.id,
        "clientID": "",
        "startedAt": rfc3339(sandbox.started_at),
        "endAt": rfc3339(sandbox.shown_end),
        "envdVersion": ENVD_VERSION,
        "domain": domain,
        # A pod without limits.
        "cpuCount": 0,
        "memoryMB": 0,
        "diskSizeMB": 0,
        "alias": "",
        "metadata": {
            **sandbox.labels,
            **sandbox.metadata,
            **_HASH,
            f"{rules.EXTENSION}sandbox-resource": f"{NAMESPACE}/{sandbox.name}",
        },
        "state": sandbox.state,
    }
    if with_token:
        shown["envdAccessToken"] = sandbox.access_token
    return shown


def _shown_key(key: ApiKey) -> dict[str, Any]:
    mask = {"maskedValuePrefix": "", "maskedValueSuffix": "", "prefix": "", "valueLength": 0}
    return {
        "id": key.id,
        "name": key.name,
        "createdAt": rfc3339(key.created_at),
        "createdBy": {"email": "", "id": key.id},
        "lastUsed": None,
        "mask": mask,
    }
