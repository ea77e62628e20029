"""Patch points of the e2b distribution, 2.8.0 and newer.

The route is chosen when a ``ConnectionConfig`` is built and kept on it, so every client of a
process may have its own domain. Everything else only looks at that route.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextvars import ContextVar
from importlib import import_module
from typing import Any

import kruise_autopatch.log as log
import kruise_autopatch.protocol as protocol
from kruise_autopatch.errors import ConfigurationError
from kruise_autopatch.patches import carried
from kruise_autopatch.patches.engine import ObjectProxy, PatchPoint, Wrapper, bind
from kruise_autopatch.patches.route import NO_DOMAIN, Explicit, choose, reason
from kruise_autopatch.settings import CurrentSettings

_CONFIG = "e2b.connection_config"
_SANDBOX = "e2b.sandbox.main"
_ENDPOINTS = "e2b.api.client.api.sandboxes"
_TEMPLATES = (("e2b.template_sync.main", "Template"), ("e2b.template_async.main", "AsyncTemplate"))
_BUILD_METHODS = ("build", "build_in_background", "get_build_status")


def points(settings: CurrentSettings) -> Sequence[PatchPoint]:
    """Every patch point of e2b. ``settings`` is asked whenever a client is built."""
    return (
        *_configuration_points(settings),
        *_URL_POINTS,
        *_V1_POINTS,
        *_key_points(settings),
        *_template_points(),
        *_connection_points(),
    )


# --- configurations: where the route is chosen ------------------------------------------------


def _configuration_points(settings: CurrentSettings) -> Sequence[PatchPoint]:
    return (
        PatchPoint(
            _CONFIG,
            "ConnectionConfig.__init__",
            _init_configuration(settings, "_api_url"),
            ("domain", "debug", "api_url", "sandbox_url"),
        ),
        PatchPoint(
            "e2b.volume.connection_config",
            "VolumeConnectionConfig.__init__",
            _init_configuration(settings, "_volume_api_url"),
            ("domain", "debug", "api_url"),
            "module",
        ),
    )


def _init_configuration(settings: CurrentSettings, api_url_variable: str) -> Wrapper:
    """Wrap the construction of a configuration whose static method ``api_url_variable`` reads
    the environment variable of its API URL."""

    def init(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> None:
        wrapped(*args, **kwargs)
        given = bind(wrapped, args, kwargs).arguments
        explicit = Explicit(
            domain=given.get("domain") or os.environ.get("E2B_DOMAIN"),
            domain_source="domain" if given.get("domain") else "E2B_DOMAIN",
            api_url=given.get("api_url") or getattr(type(instance), api_url_variable)(),
            sandbox_url=getattr(instance, "_sandbox_url", None),
            debug=instance.debug,
        )
        route = choose(settings(None), explicit)
        carried.attach(instance, route)
        if route is not None and route.authority is not None:
            instance.domain = route.authority
            if not explicit.api_url:
                instance.api_url = route.api_url
        name = type(instance).__name__
        log.decided(name, instance.api_url, reason(route, explicit))

    return init


# --- URLs of sandboxes ------------------------------------------------------------------------


def _get_host(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> str:
    route = carried.of(instance)
    if route is None:
        host: str = wrapped(*args, **kwargs)
        return host
    given = bind(wrapped, args, kwargs).arguments
    return route.sandbox_host(given["sandbox_id"], given["sandbox_domain"], given["port"])


def _get_sandbox_url(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> str:
    route = carried.of(instance)
    if route is None or instance._sandbox_url:
        url: str = wrapped(*args, **kwargs)
        return url
    given = bind(wrapped, args, kwargs).arguments
    # The parameter exists since 2.55.1.
    port = given.get("port")
    return route.sandbox_url(
        given["sandbox_id"], given["sandbox_domain"], instance.envd_port if port is None else port
    )


def _init_sandbox(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> None:
    # Here the SDK settles whether the server's reply or the configuration names the sandbox's
    # domain; whatever asks the sandbox later, OpenKruise's own patch too, sees our answer.
    call = bind(wrapped, args, kwargs)
    config = call.arguments["connection_config"]
    route = carried.of(config)
    if route is not None and route.authority is not None:
        replied = call.arguments.get("sandbox_domain")
        authority = route.sandbox_authority(replied or config.domain)
        call.arguments["sandbox_domain"] = authority
        url = config._sandbox_url or protocol.sandbox_pattern(route.scheme, authority)
        log.decided("files and commands", url, f"the server's reply names {replied or 'no domain'}")
    wrapped(*call.args, **call.kwargs)


def _file_url(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> str:
    url: str = wrapped(*args, **kwargs)
    config = instance.connection_config
    if carried.of(config) is None or config._sandbox_url:
        return url
    base = config.get_sandbox_url(instance.sandbox_id, instance.sandbox_domain)
    return protocol.below(base, url)


def _get_mcp_url(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> str:
    url: str = wrapped(*args, **kwargs)
    route = carried.of(instance.connection_config)
    return url if route is None else protocol.with_scheme(url, route.scheme)


_SANDBOX_URL_PARAMETERS = ("sandbox_id", "sandbox_domain")

_URL_POINTS = (
    PatchPoint(_CONFIG, "ConnectionConfig.get_host", _get_host, (*_SANDBOX_URL_PARAMETERS, "port")),
    PatchPoint(
        _CONFIG, "ConnectionConfig.get_sandbox_url", _get_sandbox_url, _SANDBOX_URL_PARAMETERS
    ),
    PatchPoint(
        _CONFIG,
        "ConnectionConfig.get_sandbox_direct_url",
        _get_sandbox_url,
        _SANDBOX_URL_PARAMETERS,
        "attribute",
    ),
    PatchPoint(
        _SANDBOX,
        "SandboxBase.__init__",
        _init_sandbox,
        ("sandbox_id", "sandbox_domain", "connection_config"),
    ),
    PatchPoint(_SANDBOX, "SandboxBase._file_url", _file_url),
    PatchPoint(_SANDBOX, "SandboxBase.get_mcp_url", _get_mcp_url),
)


# --- v2 routes, which OpenKruise does not have ------------------------------------------------


class _V1HttpClient(ObjectProxy):  # type: ignore[type-arg]
    """An ``httpx`` client, sync or async, that speaks the v1 routes."""

    def request(self, **request: Any) -> Any:
        return self.__wrapped__.request(**protocol.v1_request(request))


class _V1ApiClient(ObjectProxy):  # type: ignore[type-arg]
    """The SDK's API client, handing out HTTP clients that speak the v1 routes."""

    def get_httpx_client(self) -> _V1HttpClient:
        return _V1HttpClient(self.__wrapped__.get_httpx_client())

    def get_async_httpx_client(self) -> _V1HttpClient:
        return _V1HttpClient(self.__wrapped__.get_async_httpx_client())


def _speak_v1(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    client = kwargs["client"]
    if protocol.parse_api_url(client._base_url) is not None:
        log.decided("v2 routes", client._base_url, "the v1 routes, which every OpenKruise has")
        kwargs = {**kwargs, "client": _V1ApiClient(client)}
    return wrapped(*args, **kwargs)


_V1_POINTS = tuple(
    PatchPoint(f"{_ENDPOINTS}.{endpoint}", function, _speak_v1, ("client", "body"), "module")
    for endpoint in ("post_v2_sandboxes", "post_v_2_sandboxes_sandbox_id_connect")
    for function in ("sync_detailed", "asyncio_detailed")
)


# --- API keys: 2.25.0 to 2.45.1 refuse any that are not e2b_<hex> ------------------------------

_any_key = ContextVar("kruise_autopatch_any_key", default=False)


def _key_points(settings: CurrentSettings) -> Sequence[PatchPoint]:
    def init_api_client(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> None:
        config = bind(wrapped, args, kwargs).arguments["config"]
        token = _any_key.set(not settings(None).validate_key and _is_private(config))
        try:
            wrapped(*args, **kwargs)
        finally:
            _any_key.reset(token)

    return (
        PatchPoint("e2b.api", "ApiClient.__init__", init_api_client, ("config",)),
        PatchPoint("e2b.api", "validate_api_key", _validate_api_key, (), "attribute"),
    )


def _is_private(config: Any) -> bool:
    return carried.of(config) is not None and protocol.parse_api_url(config.api_url) is not None


def _validate_api_key(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> None:
    if not _any_key.get():
        wrapped(*args, **kwargs)


# --- templates of e2b up to 2.9.1, whose own default domain is e2b.dev -------------------------


def _require_domain(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    given = bind(wrapped, args, kwargs).arguments
    if not any((given.get("domain"), os.environ.get("E2B_DOMAIN"), os.environ.get("E2B_API_URL"))):
        raise ConfigurationError(*NO_DOMAIN)
    return wrapped(*args, **kwargs)


def _template_points() -> Sequence[PatchPoint]:
    return tuple(
        PatchPoint(module, f"{template}.{method}", _require_domain, (), "attribute")
        for module, template in _TEMPLATES
        for method in _BUILD_METHODS
        if _falls_back_to_e2b_dev(module, template, method)
    )


def _falls_back_to_e2b_dev(module: str, template: str, method: str) -> bool:
    try:
        function = getattr(getattr(import_module(module), template, None), method, None)
    except ModuleNotFoundError:
        return False
    return "e2b.dev" in getattr(getattr(function, "__code__", None), "co_consts", ())


# --- connections: 2.56.0 and newer open at most 200 to each address ----------------------------

# What the releases before had for all addresses together. On the private protocol every sandbox
# and the API share one address, so the 201st open stream would block even a kill().
_CONNECTIONS = 2000


def _connection_points() -> Sequence[PatchPoint]:
    # The SDK's own variable, which it has read by now.
    if os.environ.get("E2B_MAX_CONNECTIONS"):
        return ()
    modules = ("e2b.api.client_sync", "e2b.api.client_async")
    return tuple(
        PatchPoint(module, "max_connections", _CONNECTIONS, adds=True)
        for module in modules
        if hasattr(import_module(module), "max_connections")
    )
