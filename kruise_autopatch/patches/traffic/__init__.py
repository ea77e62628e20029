"""Patch points for a sandbox' tokens: on every data-plane request of it, and nowhere else.

A traffic token is for sandboxes that ask for one. The sandbox's own access token, which the SDK
leaves out of some requests to Jupyter, goes with all of them.

Each sandbox object gets a copy of its configuration, and on it the keeper of its traffic token: the
SDK builds every client of a sandbox from that configuration, now or later, and the clients are made
to ask the keeper. They stay so when the patches are undone.

A token is added when a request is made. It is in no client's headers, so that nobody finds it in a
``repr``, and the SDK never hands it to the control plane.
"""

from __future__ import annotations

import copy
from importlib import import_module
from typing import TYPE_CHECKING, Any

from kruise_autopatch.errors import TrafficAccessTokenError
from kruise_autopatch.patches import carried
from kruise_autopatch.patches.engine import Addition, PatchPoint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kruise_autopatch.patches.engine import Point, Wrapper
    from kruise_autopatch.settings import CurrentSettings
    from kruise_autopatch.tokens.shells import AsyncKeeper, Keeper, SyncKeeper

_SYNC = "e2b.sandbox_sync"
_ASYNC = "e2b.sandbox_async"


def points(settings: CurrentSettings) -> Sequence[Point]:
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
        _guarded("e2b.envd.client_sync", "SyncHTTPTransport", "SyncGuard", settings),
        _guarded("e2b.envd.client_async", "HTTPTransport", "AsyncGuard", settings),
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


_JUPYTER_HOOK = "_kruise_jupyter_hook"


def _jupyter_client(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    # The SDK builds one for each request.
    client = wrapped(*args, **kwargs)
    config = instance.connection_config
    if carried.is_openkruise(config):
        hook = vars(instance).get(_JUPYTER_HOOK)
        if hook is None:
            from kruise_autopatch.patches.traffic import clients

            keeper, token = carried.keeper_of(config), instance._envd_access_token
            hook = clients.hook(keeper, token or None, instance._jupyter_url, client)
            setattr(instance, _JUPYTER_HOOK, hook)
        hook.join(client)
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
    # Loaded with the first reply.
    from kruise_autopatch.protocol import headers

    protected = headers.is_protected(reply.additional_properties.get("metadata"))
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
        if sandbox_id is None or not carried.is_openkruise(config) or not keeps_tokens:
            wrapped(*args, **kwargs)
            return
        token = token if isinstance(token, str) else None
        # A copy: two sandboxes may have been given the same configuration.
        config = copy.copy(config)
        keeper = keeper_for(config, sandbox_id, token, required)
        setattr(config, carried.KEEPER, keeper)
        wrapped(*args, **{**kwargs, "connection_config": config})
        if not keeper.is_idle:
            _attend(keeper, instance)

    return init


def _sync_keeper(config: Any, sandbox_id: str, token: str | None, required: bool) -> SyncKeeper:
    from kruise_autopatch.patches.traffic.renewal import fetch
    from kruise_autopatch.tokens.shells import SyncKeeper

    return SyncKeeper(sandbox_id, token, required=required, server=config, fetch=fetch)


def _async_keeper(config: Any, sandbox_id: str, token: str | None, required: bool) -> AsyncKeeper:
    from kruise_autopatch.patches.traffic.renewal import afetch
    from kruise_autopatch.tokens.shells import AsyncKeeper

    return AsyncKeeper(sandbox_id, token, required=required, server=config, fetch=afetch)


def _attend(keeper: Keeper, sandbox: Any) -> None:
    from kruise_autopatch.patches.traffic import clients

    clients.attend(keeper, *clients.http_clients(sandbox))


def _traffic_access_token(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> str | None:
    keeper = carried.keeper_of(instance.connection_config)
    token: str | None = wrapped() if keeper is None else keeper.current
    return token


# --- clients: they ask the keeper -----------------------------------------------------------------


def _create_envd_api(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    # 2.28.1 to 2.37: one client for each thread, built when it is first needed.
    client = wrapped(*args, **kwargs)
    keeper = carried.keeper_of(instance._connection_config)
    if keeper is not None:
        from kruise_autopatch.patches.traffic.clients import attend

        attend(keeper, client)
    return client


def _sandbox_headers(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    native = wrapped(*args, **kwargs)
    keeper = carried.keeper_of(instance)
    if keeper is None:
        return native
    from kruise_autopatch.patches.traffic.rpc import Headers

    return Headers.kept(native, keeper)


def _init_rpc(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> None:
    wrapped(*args, **kwargs)
    keeper = next(filter(None, map(carried.keeper_of, (*args, *kwargs.values()))), None)
    if keeper is not None:
        from kruise_autopatch.patches.traffic.rpc import attending

        setattr(instance, carried.KEEPER, keeper)
        instance.__class__ = attending(instance.__class__)


# --- redirects: 2.35 to 2.37 follow them with RPCs -----------------------------------------------


def _guarded(module: str, transport: str, guard: str, settings: CurrentSettings) -> PatchPoint:
    def get_transport(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        # Later ones have their transports elsewhere, or, up to 2.40, from elsewhere.
        if not hasattr(import_module(wrapped.__module__), transport):
            return wrapped(*args, **kwargs)
        from kruise_autopatch.patches.traffic import redirects

        return getattr(redirects, guard)(settings, wrapped(*args, **kwargs), *args, **kwargs)

    return PatchPoint(module, "get_transport", get_transport, (), "either")


# --- for programs --------------------------------------------------------------------------------

_REFRESH = "refresh_traffic_access_token"


def _refresh(self: Any, force: bool = False) -> str | None:
    """The sandbox's traffic access token, renewed if that is due.

    :param force: ask the server for a new one now
    :return: the token; ``None`` if the sandbox needs none
    :raises TrafficAccessTokenError: there is none that could be used
    """
    config = self.connection_config
    keeper = carried.keeper_of(config)
    if keeper is None:
        return _unkept(self, force)
    was_idle = keeper.is_idle
    token: str | None = keeper.token(config.get_request_timeout(), due=True, force=force)
    if was_idle and not keeper.is_idle:
        _attend(keeper, self)
    return token


async def _arefresh(self: Any, force: bool = False) -> str | None:
    config = self.connection_config
    keeper = carried.keeper_of(config)
    if keeper is None:
        return _unkept(self, force)
    was_idle = keeper.is_idle
    token: str | None = await keeper.token(config.get_request_timeout(), due=True, force=force)
    if was_idle and not keeper.is_idle:
        _attend(keeper, self)
    return token


_arefresh.__doc__ = _refresh.__doc__


def _added(module: str, name: str, method: Any) -> Addition:
    method.__name__ = _REFRESH
    return Addition(module, f"{name}.{_REFRESH}", method)


def _unkept(sandbox: Any, force: bool) -> str | None:
    if force:
        raise TrafficAccessTokenError(
            f"Sandbox {sandbox.sandbox_id} was left native, or was created while"
            " KRUISE_E2B_PATCH or KRUISE_E2B_TRAFFIC_TOKEN was off, so its traffic access token"
            " cannot be renewed",
            "Create or connect it again with both on.",
        )
    token: str | None = sandbox.traffic_access_token
    return token
