"""The SDK's client configurations, where the route of a client is chosen.

It is chosen when a configuration is built and kept on it, so every client of a process may have
its own domain. Everything else only looks at that route.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import kruise_autopatch.log as log
import kruise_autopatch.patches.carried as carried
from kruise_autopatch.errors import IncompatibleSDKError
from kruise_autopatch.patches.engine import PatchPoint, Wrapper, bind
from kruise_autopatch.patches.route import Explicit, Route, choose, reason
from kruise_autopatch.settings import CurrentSettings

_MADE_HERE = frozenset(("get_host", "get_sandbox_url", "get_sandbox_direct_url"))


def points(settings: CurrentSettings) -> Sequence[PatchPoint]:
    """Of e2b and its volumes. ``settings`` is asked whenever a configuration is built."""
    return (
        PatchPoint(
            "e2b.connection_config",
            "ConnectionConfig.__init__",
            _init_configuration(settings, "_api_url", "E2B_API_URL"),
            ("domain", "debug", "api_url", "sandbox_url"),
        ),
        PatchPoint(
            "e2b.volume.connection_config",
            "VolumeConnectionConfig.__init__",
            _init_configuration(settings, "_volume_api_url", "E2B_VOLUME_API_URL"),
            ("domain", "debug", "api_url"),
            "module",
        ),
    )


def _init_configuration(settings: CurrentSettings, reader: str, variable: str) -> Wrapper:
    """Wrap the construction of a configuration whose static method ``reader`` reads the
    environment variable of its API URL."""

    def init(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> None:
        wrapped(*args, **kwargs)
        given = bind(wrapped, instance, args, kwargs)
        chosen = settings(None)
        domain, otherwise = given.get("domain"), os.environ.get("E2B_DOMAIN")
        explicit = Explicit(
            domain=domain or otherwise,
            domain_source="domain" if domain else "E2B_DOMAIN",
            api_url=given.get("api_url") or getattr(type(instance), reader)(),
            sandbox_url=getattr(instance, "_sandbox_url", None),
            debug=instance.debug,
            api_url_source="api_url" if given.get("api_url") else variable,
            otherwise=otherwise,
        ).about_the_api(chosen)
        route = choose(chosen, explicit)
        carried.attach(instance, route)
        private = route if isinstance(route, Route) else None
        if private is not None and not _MADE_HERE.isdisjoint(getattr(instance, "__dict__", ())):
            raise IncompatibleSDKError(
                "This SDK release keeps functions that make URLs on each ConnectionConfig, where"
                " they are not patched; nothing was sent",
                carried.ANOTHER_RELEASE,
            )
        if private is not None and private.authority is not None:
            instance.domain = private.authority
            if not explicit.api_url:
                instance.api_url = private.api_url
        name = type(instance).__name__
        log.decided(name, instance.api_url, reason(route, explicit))

    return init
