"""The SDK's client configurations, where the route of a client is chosen.

It is chosen when a configuration is built and kept on it, so every client of a process may have
its own domain. Everything else only looks at that route.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import kruise_autopatch.log as log
import kruise_autopatch.patches.carried as carried
from kruise_autopatch.errors import ConfigurationError, IncompatibleSDKError
from kruise_autopatch.patches.engine import PatchPoint, bind
from kruise_autopatch.patches.route import Explicit, Route, choose, reason
from kruise_autopatch.protocol import without_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kruise_autopatch.patches.engine import Wrapper
    from kruise_autopatch.patches.route import AnyRoute
    from kruise_autopatch.settings import CurrentSettings, Settings

_MADE_HERE = frozenset(("get_host", "get_sandbox_url", "get_sandbox_direct_url"))


def points(settings: CurrentSettings) -> Sequence[PatchPoint]:
    """Of e2b and its volumes. ``settings`` is asked whenever a configuration is built."""
    return (
        PatchPoint(
            "e2b.connection_config",
            "ConnectionConfig.__init__",
            _init_configuration(settings, E2B_API_URL="_api_url", E2B_SANDBOX_URL="_sandbox_url"),
            ("domain", "debug"),
        ),
        PatchPoint(
            "e2b.volume.connection_config",
            "VolumeConnectionConfig.__init__",
            _init_configuration(settings, E2B_VOLUME_API_URL="_volume_api_url"),
            ("domain", "debug"),
            "module",
        ),
    )


def _init_configuration(settings: CurrentSettings, **readers: str) -> Wrapper:
    """Wrap the construction of a configuration.

    :param readers: the environment variables of URLs, that of the API first, and the static
        methods that read them in the releases that take such URLs
    """
    variable = next(iter(readers))

    def init(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> None:
        wrapped(*args, **kwargs)
        # The SDK has just taken it, so it fits.
        given = bind(wrapped, instance, args, kwargs) if args else kwargs
        api_url = given.get("api_url")
        explicit, route = _decide(
            settings(None),
            given.get("domain"),
            os.environ.get("E2B_DOMAIN"),
            api_url or _read(instance, readers[variable]),
            "api_url" if api_url else variable,
            carried.sandbox_url(instance),
            instance.debug,
        )
        carried.attach(instance, route)
        private = route if isinstance(route, Route) else None
        if private is not None:
            _refuse_unread(instance, readers)
        if private is not None and not _MADE_HERE.isdisjoint(getattr(instance, "__dict__", ())):
            raise IncompatibleSDKError(
                f"{carried.release()} keeps functions that make URLs on each ConnectionConfig,"
                " where they are not patched; nothing was sent",
                carried.ANOTHER_RELEASE,
            )
        if private is not None and private.authority is not None:
            if not explicit.api_url:
                _check_derived(str(carried.read(instance, "api_url")), instance.domain)
                carried.assign(instance, "api_url", private.api_url, "its API's URL")
            carried.assign(instance, "domain", private.authority, "its domain")
        name = type(instance).__name__
        url = getattr(instance, "api_url", "")
        log.decided(name, url, lambda: reason(route, explicit))

    return init


# A program says the same for most of its clients.
@lru_cache(maxsize=256)
def _decide(
    settings: Settings,
    domain: str | None,
    otherwise: str | None,
    api_url: str | None,
    api_url_source: str,
    sandbox_url: str | None,
    debug: bool,
) -> tuple[Explicit, AnyRoute]:
    """What was said, and where it leads; raises as :func:`choose` does.

    :param otherwise: what ``E2B_DOMAIN`` says
    """
    explicit = Explicit(
        domain=domain or otherwise,
        domain_source="domain" if domain else "E2B_DOMAIN",
        api_url=api_url,
        sandbox_url=sandbox_url,
        debug=debug,
        api_url_source=api_url_source,
        otherwise=otherwise,
    ).about_the_api(settings)
    return explicit, choose(settings, explicit)


def _read(instance: Any, reader: str) -> str | None:
    read = getattr(type(instance), reader, None)
    return read() if read is not None else None


def _refuse_unread(instance: Any, readers: Mapping[str, str]) -> None:
    """A release that has dropped a variable would go elsewhere than its user has said."""
    for variable, reader in readers.items():
        if not hasattr(type(instance), reader) and os.environ.get(variable):
            raise ConfigurationError(
                f"{variable} is set, but {carried.release()} is not known to read it; nothing was"
                " sent",
                "Unset it, or install a release of e2b that reads it.",
            )


def _check_derived(native: str, domain: str) -> None:
    """Whether the SDK has made the API's URL of the domain, since nobody has given another one."""
    if domain not in native:
        raise IncompatibleSDKError(
            f"{carried.release()} has the API's URL {without_secrets(native)} from somewhere that"
            " is not known; nothing was sent",
            carried.ANOTHER_RELEASE,
        )
