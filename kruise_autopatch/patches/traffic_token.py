"""Patch points for traffic tokens: on every data-plane request of a sandbox, and nowhere else.

Each sandbox object gets a copy of its configuration, and on it the keeper of its token: the SDK
builds every client of a sandbox from that configuration, now or later, and the clients are made
to ask the keeper. They stay so when the patches are undone.

The token is added when a request is made. It is in no client's headers, so that nobody finds it
in a ``repr``, and the SDK never hands it to the control plane.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from kruise_autopatch.errors import TrafficAccessTokenError
from kruise_autopatch.patches import carried
from kruise_autopatch.patches.engine import PatchPoint, Wrapper
from kruise_autopatch.settings import CurrentSettings

if TYPE_CHECKING:
    from kruise_autopatch.tokens.shells import AsyncKeeper, Keeper, SyncKeeper

# The annotation of a protected sandbox, which the server shows as metadata.
PROTECTED = "security.agents.kruise.io/enable-jwt-auth"

_SYNC = "e2b.sandbox_sync"
_ASYNC = "e2b.sandbox_async"

# Seconds for one request for a token; the server itself gives up after 30.
_PATIENCE = 60.0


def points(settings: CurrentSettings) -> Sequence[PatchPoint]:
    """The patch points in the e2b distribution."""
    return (
        PatchPoint(f"{_SYNC}.main", "Sandbox.__init__", _init_sandbox(settings, _sync_keeper)),
        PatchPoint(
            f"{_ASYNC}.main", "AsyncSandbox.__init__", _init_sandbox(settings, _async_keeper)
        ),
        PatchPoint("e2b.connection_config", "ConnectionConfig.sandbox_headers", _sandbox_headers),
        PatchPoint("e2b.sandbox.main", "SandboxBase.traffic_access_token", _traffic_access_token),
        PatchPoint("e2b.api.client.models.sandbox", "Sandbox.from_dict", _parse_reply),
        PatchPoint("e2b_connect.client", "Client.__init__", _init_rpc, ("headers",), "module"),
        PatchPoint(
            "e2b.envd.interceptors",
            "DefaultHeadersInterceptor.__init__",
            _init_rpc,
            ("headers",),
            "module",
        ),
        *(
            PatchPoint(module, f"{name}._create_envd_api", _create_envd_api, (), "attribute")
            for module, name in (
                (f"{_SYNC}.filesystem.filesystem", "Filesystem"),
                (f"{_SYNC}.commands.command", "Commands"),
                (f"{_SYNC}.commands.pty", "Pty"),
            )
        ),
        _added(f"{_SYNC}.main", "Sandbox", _refresh),
        _added(f"{_ASYNC}.main", "AsyncSandbox", _arefresh),
    )


def _jupyter_client(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    client = wrapped(*args, **kwargs)
    keeper = carried.keeper_of(instance.connection_config)
    if keeper is not None:
        from kruise_autopatch.patches.traffic_clients import attend

        attend(keeper, client, below=instance._jupyter_url)
    return client


CODE_INTERPRETER_POINTS = (
    PatchPoint("e2b_code_interpreter.code_interpreter_sync", "Sandbox._client", _jupyter_client),
    PatchPoint(
        "e2b_code_interpreter.code_interpreter_async", "AsyncSandbox._client", _jupyter_client
    ),
)


# --- sandboxes: where the keeper comes from -----------------------------------------------------


class _Required(str):
    """In the place of a token that a reply does not hold: the sandbox needs one, ask for it.

    Empty, so that everybody else takes it for none.
    """


def _parse_reply(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    # The SDK hands the token of a reply on to the Sandbox object, but not the metadata.
    reply = wrapped(*args, **kwargs)
    metadata = reply.additional_properties.get("metadata")
    protected = isinstance(metadata, dict) and metadata.get(PROTECTED) == "true"
    if protected and not reply.traffic_access_token:
        reply.traffic_access_token = _Required()
    return reply


def _init_sandbox(
    settings: CurrentSettings, keeper_for: Callable[[Any, str, str | None, bool], Keeper]
) -> Wrapper:
    def init(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> None:
        config, sandbox_id = kwargs.get("connection_config"), kwargs.get("sandbox_id")
        token = kwargs.get("traffic_access_token")
        required = isinstance(token, _Required)
        if required:
            token = kwargs["traffic_access_token"] = None
        keeps_tokens = settings(type(instance)).traffic_token
        if sandbox_id is None or carried.of(config) is None or not keeps_tokens:
            wrapped(*args, **kwargs)
            return
        token = token if isinstance(token, str) else None
        from kruise_autopatch.patches import traffic_clients as clients

        # A copy: two sandboxes may have been given the same configuration.
        config = copy.copy(config)
        keeper = keeper_for(config, sandbox_id, token, required)
        setattr(config, carried.KEEPER, keeper)
        wrapped(*args, **{**kwargs, "connection_config": config})
        clients.attend(keeper, *clients.http_clients(instance))

    return init


def _sync_keeper(config: Any, sandbox_id: str, token: str | None, required: bool) -> SyncKeeper:
    from kruise_autopatch.tokens.shells import SyncKeeper

    return SyncKeeper(sandbox_id, token, required=required, server=config, fetch=_fetch)


def _async_keeper(config: Any, sandbox_id: str, token: str | None, required: bool) -> AsyncKeeper:
    from kruise_autopatch.tokens.shells import AsyncKeeper

    return AsyncKeeper(sandbox_id, token, required=required, server=config, fetch=_afetch)


def _traffic_access_token(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> str | None:
    keeper = carried.keeper_of(instance.connection_config)
    token: str | None = wrapped() if keeper is None else keeper.current
    return token


# --- the control plane: asking for a token -------------------------------------------------------


def _fetch(config: Any, sandbox_id: str) -> Any:
    from e2b.api.client_sync import get_api_client

    client = get_api_client(_for_one_request(config)).get_httpx_client()
    return _answer(client.request("POST", _endpoint(sandbox_id), timeout=_timeout(config)))


async def _afetch(config: Any, sandbox_id: str) -> Any:
    from e2b.api.client_async import get_api_client

    client = get_api_client(_for_one_request(config)).get_async_httpx_client()
    return _answer(await client.request("POST", _endpoint(sandbox_id), timeout=_timeout(config)))


def _endpoint(sandbox_id: str) -> str:
    return f"/sandboxes/{quote(sandbox_id, safe='')}/traffic-access-token"


def _for_one_request(config: Any) -> Any:
    config = copy.copy(config)
    # When to ask again is the state machine's business; the SDK retries since 2.52.
    config.retries = 0
    # Our patch sees to this as long as it is in force; 2.29.1 to 2.45.1 can be told.
    config.validate_api_key = False
    return config


def _timeout(config: Any) -> float:
    return min(_PATIENCE, config.get_request_timeout() or _PATIENCE)


def _answer(response: Any) -> Any:
    from kruise_autopatch.tokens.reply import Answer

    return Answer(response.status_code, response.content, response.headers.get("retry-after"))


# --- clients: they ask the keeper -----------------------------------------------------------------


def _create_envd_api(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    # 2.28.1 to 2.37: one client for each thread, built when it is first needed.
    client = wrapped(*args, **kwargs)
    keeper = carried.keeper_of(instance._connection_config)
    if keeper is not None:
        from kruise_autopatch.patches.traffic_clients import attend

        attend(keeper, client)
    return client


def _sandbox_headers(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    headers = wrapped(*args, **kwargs)
    keeper = carried.keeper_of(instance)
    if keeper is None:
        return headers
    from kruise_autopatch.patches.traffic_clients import Headers

    return Headers.kept(headers, keeper)


def _init_rpc(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> None:
    wrapped(*args, **kwargs)
    keeper = next(filter(None, map(carried.keeper_of, (*args, *kwargs.values()))), None)
    if keeper is not None:
        from kruise_autopatch.patches.traffic_clients import attending

        setattr(instance, carried.KEEPER, keeper)
        instance.__class__ = attending(instance.__class__)


# --- for programs --------------------------------------------------------------------------------

_REFRESH = "refresh_traffic_access_token"


def _refresh(self: Any, force: bool = False) -> str | None:
    """The sandbox's traffic access token, renewed if that is due.

    :param force: ask the server for a new one now
    :return: the token; ``None`` if the sandbox needs none
    :raises TrafficAccessTokenError: there is none that could be used
    """
    keeper = carried.keeper_of(self.connection_config)
    token: str | None = _unkept(self, force) if keeper is None else keeper.token(force)
    return token


async def _arefresh(self: Any, force: bool = False) -> str | None:
    keeper = carried.keeper_of(self.connection_config)
    token: str | None = _unkept(self, force) if keeper is None else await keeper.token(force)
    return token


_arefresh.__doc__ = _refresh.__doc__


def _added(module: str, name: str, method: Any) -> PatchPoint:
    method.__name__ = _REFRESH
    return PatchPoint(module, f"{name}.{_REFRESH}", method, adds=True)


def _unkept(sandbox: Any, force: bool) -> Any:
    if force:
        raise TrafficAccessTokenError(
            f"Sandbox {sandbox.sandbox_id} is not on the private protocol, or was created while"
            " KRUISE_E2B_PATCH or KRUISE_E2B_TRAFFIC_TOKEN was off, so its traffic access token"
            " cannot be renewed",
            "Create or connect it again with both on.",
        )
    return sandbox.traffic_access_token
