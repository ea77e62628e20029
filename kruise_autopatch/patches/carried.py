"""What an SDK object carries for the patches: its route, and the keeper of its traffic token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import kruise_autopatch.versions as versions
from kruise_autopatch.errors import IncompatibleSDKError, UnpatchedClientError
from kruise_autopatch.patches.route import NativeRoute, Route
from kruise_autopatch.protocol import PREFIX, parse_api_url, without_secrets

if TYPE_CHECKING:
    from kruise_autopatch.patches.route import AnyRoute

_ATTRIBUTE = "_kruise_route"
KEEPER = "_kruise_traffic"

# The advice where an SDK release works in a way that we do not know.
ANOTHER_RELEASE = "Install a release that kruise-autopatch supports, or upgrade kruise-autopatch."


def release() -> str:
    """The release of e2b, for errors."""
    return f"e2b {versions.of_e2b() or '(version unknown)'}"


def attach(holder: Any, route: AnyRoute) -> None:
    """Keep ``route`` on an SDK object; ``None`` marks the object as none of OpenKruise's."""
    assign(holder, _ATTRIBUTE, route, "its route")
    any_of(holder)


def assign(holder: Any, name: str, value: Any, what: str) -> None:
    """Set an attribute of an SDK object. Raises :class:`IncompatibleSDKError` if it refuses.

    :param what: the value, for people
    """
    try:
        setattr(holder, name, value)
    except (AttributeError, TypeError) as error:
        raise IncompatibleSDKError(
            f"{_named(holder)} of {release()} cannot keep {what} ({error}); nothing was sent",
            ANOTHER_RELEASE,
        ) from error


def read(holder: Any, name: str) -> Any:
    """An attribute of an SDK object that we rely on. Raises :class:`IncompatibleSDKError`."""
    try:
        return getattr(holder, name)
    except AttributeError as error:
        raise IncompatibleSDKError(
            f"{_named(holder)} of {release()} has no {name}", ANOTHER_RELEASE
        ) from error


def sandbox_url(config: Any) -> str | None:
    """The URL for sandbox traffic that was given explicitly, in releases that take one."""
    url = getattr(config, "_sandbox_url", None)
    # Below the configuration's own attribute is the method that reads the variable.
    return None if callable(url) else url


def of(holder: Any) -> Route | None:
    """The route on which an SDK object has private URLs; ``None``: its URLs are native by decision.

    :raises UnpatchedClientError: nobody has decided: it was built past the patches
    """
    route = any_of(holder)
    return route if isinstance(route, Route) else None


def is_openkruise(holder: Any) -> bool:
    """Whether an SDK object is of an OpenKruise back end, by private or by native URLs.

    :raises UnpatchedClientError: see :func:`of`
    """
    return any_of(holder) is not None


def asks_openkruise(config: Any) -> bool:
    """Whether the API of a configuration is OpenKruise's, and not one that was given explicitly.

    :raises UnpatchedClientError: see :func:`of`
    """
    route = any_of(config)
    if isinstance(route, Route):
        return parse_api_url(read(config, "api_url")) is not None
    return route is not None and route.asks


def is_openkruises_client(api_client: Any) -> bool:
    """Whether a client of the SDK for an API asks OpenKruise's; also one that a program built."""
    if parse_api_url(api_client._base_url) is not None:
        return True
    route = getattr(api_client, _ATTRIBUTE, None)
    return isinstance(route, NativeRoute) and route.asks


def any_of(holder: Any) -> AnyRoute:
    """The route of an SDK object, whichever it is. Raises as :func:`of` does."""
    try:
        route: AnyRoute = getattr(holder, _ATTRIBUTE)
    except AttributeError:
        raise UnpatchedClientError(
            f"{_named(holder)} was built past kruise-autopatch, so its route is not known and"
            " nothing was sent: before patch_e2b was called, by a subclass whose __init__ does not"
            " call super().__init__(), or restored from elsewhere",
            "Build it again, by its class.",
        ) from None
    return route


def checked(url: str, route: Route, server_domain: str | None) -> str:
    """``url``, which an SDK made of what we gave it, if it leads to a private route.

    A release may have found another way to make its URLs. Raises :class:`IncompatibleSDKError`.
    """
    if f"{route.sandbox_authority(server_domain)}{PREFIX}/" not in url:
        raise IncompatibleSDKError(
            f"{release()} makes the URL {without_secrets(url)} in a way that is not patched;"
            " nothing was sent there",
            ANOTHER_RELEASE,
        )
    return url


def keeper_of(holder: Any) -> Any:
    """The keeper on a configuration, a set of headers or a client; ``None`` if there is none."""
    keeper = getattr(holder, KEEPER, None)
    # A Mock, as programs' tests have it, has any attribute that is asked for.
    return keeper if hasattr(type(keeper), "settled") else None


def _named(holder: Any) -> str:
    cls = type(holder)
    return f"This {cls.__qualname__} ({cls.__module__})"
