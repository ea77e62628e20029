"""The E2B API of the sandbox-manager, at `/kruise/api` and natively at `/`.

Routes, statuses, fields and messages are those of openkruise/agents, pkg/servers/e2b.
Notably, `POST /v2/sandboxes` and `POST /v2/sandboxes/{id}/connect`, which e2b 2.51 and later
call, are not registered there and answer 405.
"""

from __future__ import annotations

import base64
import json
import os
import re
import uuid
from collections.abc import Awaitable, Mapping
from datetime import datetime, timezone
from typing import Any, Callable
from urllib.parse import unquote, unquote_plus

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from kruise_autopatch.protocol import API_PATH
from kruise_autopatch.protocol.headers import TRAFFIC_TOKEN_ROUTE

from ..data_plane.traffic_tokens import TrafficTokens, is_protected
from ..endpoints import Endpoints, NoEndpoint
from ..sandbox.sandboxes import Sandbox, Sandboxes
from . import api_keys
from .errors import ApiError

DEFAULT_TIMEOUT = 300
MIN_TIMEOUT = 30
MAX_TIMEOUT = 2_592_000
# What a resumed sandbox gets at least (facts of August 2026: "min resume timeout 300").
MIN_RESUME_TIMEOUT = 300
MAX_LIST = 100

# Older than 0.4.0 whatever envd is really there, which makes every SDK send a user name.
ENVD_VERSION = "0.2.10"

EXTENSION = "e2b.agents.kruise.io/"
_LIST_PARAMETERS = ("state", "limit", "nextToken", "metadata")
_QUALIFIED_NAME = re.compile(
    r"(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)


class ControlPlane:
    """Answers the API's requests, for the sandboxes of this server."""

    def __init__(
        self,
        sandboxes: Sandboxes,
        tokens: TrafficTokens,
        api_key: str,
        e2b_domain: str | None,
    ) -> None:
        self._sandboxes = sandboxes
        self._tokens = tokens
        self._api_key = api_key
        self._domain = e2b_domain

    async def serve(self, path: str, request: Request, private: bool) -> Response:
        """Answer an API request; `path` is still escaped and comes without the prefix."""
        if "//" in path:
            # Go's mux redirects to the clean path.
            clean = re.sub("/+", "/", path)
            return RedirectResponse((API_PATH if private else "") + clean, 307)
        if path == "/health" and not private:
            return PlainTextResponse("OK")
        try:
            handler, values = _find(request.method, path, private)
        except NoEndpoint as missing:
            head = ["HEAD"] if "GET" in missing.allowed else []
            allowed = ", ".join(sorted(missing.allowed + head))
            headers = {"Allow": allowed} if allowed else None
            return PlainTextResponse(f"{missing}\n", missing.status, headers)
        try:
            self._check_key(request)
            return await handler(self, request, values)
        except ApiError as error:
            return refusal(error)

    def _check_key(self, request: Request) -> None:
        if not api_keys.accepts(self._api_key, request.headers.get(api_keys.HEADER)):
            raise ApiError("Invalid API Key", 401)

    async def _create(self, request: Request, values: dict[str, str]) -> Response:
        body = await _body(request)
        template = _text(body, "templateID")
        if template not in self._sandboxes.templates:
            raise ApiError("Template or Checkpoint not found", 400)
        metadata = _strings(body, "metadata")
        for key in metadata:
            if not _QUALIFIED_NAME.fullmatch(key):
                raise ApiError(f"Unqualified metadata key [{key}]: not a qualified name", 400)
        timeout = _number(body, "timeout") or DEFAULT_TIMEOUT
        if not MIN_TIMEOUT <= timeout <= MAX_TIMEOUT:
            raise ApiError(f"timeout should between {MIN_TIMEOUT} and {MAX_TIMEOUT}", 400)
        sandbox = self._sandboxes.create(
            template=template,
            timeout=timeout,
            # Keys with this prefix are options for the server, not metadata.
            metadata={k: v for k, v in metadata.items() if not k.startswith(EXTENSION)},
            environment=_strings(body, "envVars"),
            auto_pause=body.get("autoPause") is True,
            network=_network(body.get("network")),
        )
        shown = self._shown(sandbox, request)
        if is_protected(sandbox):
            # Here only: connect gives none.
            shown.update(self._tokens.issue(sandbox).shown())
        return JSONResponse(shown, 201)

    async def _list(self, request: Request, values: dict[str, str]) -> Response:
        query = request.query_params
        states = query.get("state", "running,paused").split(",")
        if not set(states) <= {"running", "paused"}:
            raise ApiError(
                f"Only 'running' and 'paused' state are supported, not: '{query.get('state')}'",
                400,
            )
        limit = _limit(query.get("limit", str(MAX_LIST)))
        wanted = _metadata_filter(query)
        found = [
            sandbox
            for sandbox in self._sandboxes.all()
            if sandbox.state in states
            and all(sandbox.metadata.get(key) == value for key, value in wanted.items())
        ]
        after = _read_token(query.get("nextToken"))
        found = [each for each in found if _position(each) > after]
        page = found[:limit]
        headers = {"x-next-token": _write_token(page[-1])} if len(found) > limit else None
        shown = [self._shown(each, request, with_token=False) for each in page]
        return JSONResponse(shown, headers=headers)

    async def _describe(self, request: Request, values: dict[str, str]) -> Response:
        sandbox = self._find(values)
        return JSONResponse(
            {"network": sandbox.network or _network(None), **self._shown(sandbox, request)}
        )

    async def _delete(self, request: Request, values: dict[str, str]) -> Response:
        await self._sandboxes.kill(self._find(values))
        return Response(status_code=204)

    async def _pause(self, request: Request, values: dict[str, str]) -> Response:
        sandbox = self._find(values)
        if sandbox.state != "running":
            raise ApiError(f"Sandbox {sandbox.id} is not running", 409)
        await self._sandboxes.pause(sandbox)
        return Response(status_code=204)

    async def _resume(self, request: Request, values: dict[str, str]) -> Response:
        sandbox = self._find(values)
        try:
            timeout = _required_timeout(await _body(request))
        except ApiError as error:
            # The server does this on purpose, since E2B answers 500 here.
            raise ApiError(error.message, 500) from error
        if sandbox.state != "paused":
            raise ApiError(f"Sandbox {sandbox.id} is not paused", 409)
        await self._sandboxes.resume(sandbox, timeout)
        return Response(status_code=204)

    async def _connect(self, request: Request, values: dict[str, str]) -> Response:
        sandbox = self._find(values)
        timeout = _required_timeout(await _body(request))
        if sandbox.state == "paused":
            await self._sandboxes.resume(sandbox, max(timeout, MIN_RESUME_TIMEOUT))
            return JSONResponse(self._shown(sandbox, request), 201)
        sandbox.extend(timeout)
        return JSONResponse(self._shown(sandbox, request), 200)

    async def _set_timeout(self, request: Request, values: dict[str, str]) -> Response:
        sandbox = self._find(values)
        timeout = _required_timeout(await _body(request))
        if sandbox.state != "running":
            raise ApiError(f"sandbox {sandbox.id} is not running", 409)
        sandbox.ends_in(timeout)
        return Response(status_code=204)

    async def _set_network(self, request: Request, values: dict[str, str]) -> Response:
        """Kept and shown, but without effect: nothing here limits the network."""
        sandbox = self._find(values)
        sandbox.network = _network(await _body(request))
        return Response(status_code=204)

    async def _traffic_token(self, request: Request, values: dict[str, str]) -> Response:
        return JSONResponse(self._tokens.renew(self._find(values)).shown())

    async def _list_templates(self, request: Request, values: dict[str, str]) -> Response:
        return JSONResponse([_template(name) for name in self._sandboxes.templates])

    async def _describe_template(self, request: Request, values: dict[str, str]) -> Response:
        if values["template"] not in self._sandboxes.templates:
            raise ApiError(f"Template {values['template']} not found", 404)
        return JSONResponse(_template(values["template"]))

    async def _not_here(self, request: Request, values: dict[str, str]) -> Response:
        raise ApiError(
            f"{request.method} {request.url.path} is not part of the local sandbox-manager", 501
        )

    def _find(self, values: Mapping[str, str]) -> Sandbox:
        sandbox = self._sandboxes.get(values["id"])
        if sandbox is None:
            raise ApiError(
                f"Sandbox route not found, maybe it is crashed or killed: {values['id']}", 404
            )
        return sandbox

    def _shown(self, sandbox: Sandbox, request: Request, with_token: bool = True) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "templateID": sandbox.template,
            "sandboxID": sandbox.id,
            "clientID": "",
            "startedAt": _rfc3339(sandbox.started_at),
            "endAt": _rfc3339(sandbox.ends_at),
            "envdVersion": ENVD_VERSION,
            "domain": self._domain or domain_of(request.headers.get("host", "")),
            "cpuCount": os.cpu_count() or 1,
            "memoryMB": 1024,
            "diskSizeMB": 1024,
            "alias": sandbox.template,
            "metadata": {
                **sandbox.metadata,
                f"{EXTENSION}sandbox-resource": f"default/{sandbox.id}",
            },
            "state": sandbox.state,
        }
        if with_token:
            shown["envdAccessToken"] = sandbox.access_token
        return shown


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
        "POST /sandboxes/{id}/snapshots": _C._not_here,
        "GET /snapshots": _C._not_here,
        "GET /templates": _C._list_templates,
        "GET /templates/{template}": _C._describe_template,
        "DELETE /templates/{template}": _C._not_here,
        "GET /browser/{id}/json/version": _C._not_here,
        "GET /teams": _C._not_here,
        "GET /api-keys": _C._not_here,
        "POST /api-keys": _C._not_here,
        "DELETE /api-keys/{key}": _C._not_here,
    },
    subtrees=True,
)
# These have no native twin on the server.
_PRIVATE: Endpoints[Handler] = Endpoints(
    {f"POST {TRAFFIC_TOKEN_ROUTE}": _C._traffic_token}, subtrees=True
)


def _find(method: str, path: str, private: bool) -> tuple[Handler, dict[str, str]]:
    # In Go, a pattern for GET serves HEAD too.
    method = "GET" if method == "HEAD" else method
    tables = (_PRIVATE, _ENDPOINTS) if private else (_ENDPOINTS,)
    for table in tables:
        try:
            handler, values = table.find(method, path)
            return handler, {name: unquote(value) for name, value in values.items()}
        except NoEndpoint as missing:
            last = missing
    raise last


def domain_of(host: str) -> str:
    """The domain that a request's Host makes: as it is, but for one trailing dot.

    After pkg/servers/e2b/adapters/domain.go; case and port are kept.
    """
    name, colon, port = host.rpartition(":")
    if not colon or port.endswith("]"):
        name, colon, port = host, "", ""
    return f"{name[:-1] if name.endswith('.') else name}{colon}{port}"


def refusal(error: ApiError) -> Response:
    return JSONResponse(
        {
            "code": error.code,
            "headers": None,
            "message": error.message,
            "request_id": str(uuid.uuid4()),
        },
        status_code=error.code,
        headers=error.headers,
    )


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body())
    except ValueError as error:
        # The server leaves the code unset, so this is a 500.
        raise ApiError(f"invalid JSON: {error}") from error
    if not isinstance(body, dict):
        raise ApiError("json: cannot unmarshal into an object")
    return body


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise ApiError(f"json: cannot unmarshal {name} into a string")
    return value or ""


def _number(body: dict[str, Any], name: str) -> int:
    value = body.get(name)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool):
        raise ApiError(f"json: cannot unmarshal {name} into an integer")
    return value


def _strings(body: dict[str, Any], name: str) -> dict[str, str]:
    value = body.get(name) or {}
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise ApiError(f"json: cannot unmarshal {name} into a map of strings")
    return value


def _required_timeout(body: dict[str, Any]) -> int:
    timeout = _number(body, "timeout")
    if not 0 < timeout <= MAX_TIMEOUT:
        raise ApiError(f"timeout should between 0 and {MAX_TIMEOUT}", 400)
    return timeout


def _network(value: Any) -> dict[str, list[str]]:
    given = value if isinstance(value, dict) else {}
    return {name: list(given.get(name) or []) for name in ("allowOut", "denyOut")}


def _limit(given: str) -> int:
    try:
        limit = int(given)
    except ValueError:
        limit = 0
    if not 1 <= limit <= MAX_LIST:
        raise ApiError(f"Invalid limit: {given}, must be between 1 and {MAX_LIST}", 400)
    return limit


def _metadata_filter(query: Mapping[str, str]) -> dict[str, str]:
    """`metadata` is decoded once more; any key that the server does not know is a filter too."""
    wanted = {key: value for key, value in query.items() if key not in _LIST_PARAMETERS}
    for pair in unquote_plus(query.get("metadata", "")).split("&"):
        key, equals, value = pair.partition("=")
        if equals:
            wanted[key] = value
    return wanted


def _position(sandbox: Sandbox) -> str:
    return f"{sandbox.started_at:020.6f}{sandbox.id}"


def _write_token(sandbox: Sandbox) -> str:
    return base64.urlsafe_b64encode(_position(sandbox).encode()).decode()


def _read_token(token: str | None) -> str:
    try:
        return base64.urlsafe_b64decode(token or "").decode()
    except ValueError as error:
        raise ApiError(f"Failed to list sandboxes: {error}", 404) from error


def _rfc3339(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _template(name: str) -> dict[str, Any]:
    return {"templateID": name, "aliases": [name], "names": [name], "public": True}
