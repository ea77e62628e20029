"""What an SDK object carries for the patches: its route, and the keeper of its traffic token."""

from __future__ import annotations

from typing import Any

from kruise_autopatch.patches.route import Route

_ATTRIBUTE = "_kruise_route"
KEEPER = "_kruise_traffic"


def attach(holder: Any, route: Route | None) -> None:
    """Keep ``route`` on an SDK object; ``None`` leaves the object native and untouched."""
    if route is not None:
        setattr(holder, _ATTRIBUTE, route)


def of(holder: Any) -> Route | None:
    """The route of an SDK object; ``None`` if native, or built before it was patched."""
    route: Route | None = getattr(holder, _ATTRIBUTE, None)
    return route


def keeper_of(holder: Any) -> Any:
    """The keeper on a configuration, a set of headers or a client; ``None`` if there is none."""
    keeper = getattr(holder, KEEPER, None)
    # A Mock, as programs' tests have it, has any attribute that is asked for.
    return keeper if hasattr(type(keeper), "settled") else None
