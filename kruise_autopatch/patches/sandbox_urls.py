"""The URLs of sandboxes, and the host that stands in them."""

from __future__ import annotations

from typing import Any

import kruise_autopatch.log as log
import kruise_autopatch.patches.carried as carried
import kruise_autopatch.protocol as protocol
from kruise_autopatch import PACKAGES
from kruise_autopatch.patches.engine import PatchPoint, bind

_CONFIG = "e2b.connection_config"
_SANDBOX = "e2b.sandbox.main"


def _get_host(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> str:
    route = carried.of(instance)
    if route is None:
        host: str = wrapped(*args, **kwargs)
        return host
    given = bind(wrapped, instance, args, kwargs)
    return route.sandbox_host(given["sandbox_id"], given["sandbox_domain"], given["port"])


def _get_sandbox_url(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> str:
    route = carried.of(instance)
    if route is None or carried.sandbox_url(instance):
        url: str = wrapped(*args, **kwargs)
        return url
    given = bind(wrapped, instance, args, kwargs)
    # The parameter exists since 2.55.1.
    port = given.get("port")
    if port is None:
        port = carried.read(instance, "envd_port")
    return route.sandbox_url(given["sandbox_id"], given["sandbox_domain"], port)


def _init_sandbox(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> None:
    # Here the SDK settles whether the server's reply or the configuration names the sandbox's
    # domain; whatever asks the sandbox later, OpenKruise's own patch too, sees our answer.
    given = bind(wrapped, instance, args, kwargs)
    config = given["connection_config"]
    route = carried.of(config)
    if route is not None and route.authority is not None:
        replied = given.get("sandbox_domain")
        authority = route.sandbox_authority(replied or config.domain)
        given["sandbox_domain"] = authority
        url = carried.sandbox_url(config) or protocol.sandbox_pattern(route.scheme, authority)
        names = replied or "no domain"
        log.decided("files and commands", url, lambda: f"the server's reply names {names}")
    wrapped(**given)
    if route is not None and not carried.sandbox_url(config):
        made = instance.envd_api_url, getattr(instance, "envd_direct_url", None)
        for url in filter(None, made):
            carried.checked(url, route, given.get("sandbox_domain"))


def _get_sandbox_host(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> str:
    # The SDK asks the configuration, as far as we know it.
    host: str = wrapped(*args, **kwargs)
    route = carried.of(instance.connection_config)
    return host if route is None else carried.checked(host, route, instance.sandbox_domain)


def _file_url(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> str:
    url: str = wrapped(*args, **kwargs)
    config = instance.connection_config
    if carried.of(config) is None or carried.sandbox_url(config):
        return url
    base = config.get_sandbox_url(instance.sandbox_id, instance.sandbox_domain)
    return protocol.below(base, url)


def _get_mcp_url(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> str:
    url: str = wrapped(*args, **kwargs)
    route = carried.of(instance.connection_config)
    if route is None:
        return url
    return protocol.with_scheme(carried.checked(url, route, instance.sandbox_domain), route.scheme)


_SANDBOX_URL_PARAMETERS = ("sandbox_id", "sandbox_domain")

POINTS = (
    PatchPoint(
        _CONFIG,
        "ConnectionConfig.get_host",
        _get_host,
        (*_SANDBOX_URL_PARAMETERS, "port"),
        overrides=PACKAGES,
    ),
    PatchPoint(
        _CONFIG,
        "ConnectionConfig.get_sandbox_url",
        _get_sandbox_url,
        _SANDBOX_URL_PARAMETERS,
        overrides=PACKAGES,
    ),
    PatchPoint(
        _CONFIG,
        "ConnectionConfig.get_sandbox_direct_url",
        _get_sandbox_url,
        _SANDBOX_URL_PARAMETERS,
        "attribute",
        overrides=PACKAGES,
    ),
    PatchPoint(
        _SANDBOX,
        "SandboxBase.__init__",
        _init_sandbox,
        ("sandbox_id", "sandbox_domain", "connection_config"),
    ),
    PatchPoint(_SANDBOX, "SandboxBase.get_host", _get_sandbox_host, overrides=PACKAGES),
    PatchPoint(_SANDBOX, "SandboxBase._file_url", _file_url, overrides=PACKAGES),
    PatchPoint(_SANDBOX, "SandboxBase.get_mcp_url", _get_mcp_url, overrides=PACKAGES),
)
