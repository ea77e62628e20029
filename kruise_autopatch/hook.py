"""The post-import hook: what happens when a watched module has been executed.

wrapt and everything else that patching needs is loaded only then, after the SDK.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import kruise_autopatch.gates as gates
import kruise_autopatch.startup as startup

FollowUp = Callable[[ModuleType], None]


class HookedLoader:
    """Stands in for the loader of a watched module, until the module is executed."""

    def __init__(self, native: Any, then: FollowUp) -> None:
        self._native = native
        self._then = then

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        # For those who look at a spec without importing the module.
        return type(self._native)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._native, name)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._native
        if module.__spec__ is not None:
            module.__spec__.loader = self._native
        self._native.exec_module(module)
        # What import statements will find: a module may put another one in its place.
        self._then(sys.modules.get(module.__name__, module))


def follow_up(name: str, *, reloaded: bool) -> FollowUp:
    """What is to be done after the module ``name`` has been executed."""
    if name in startup.PACKAGES:
        return patch
    if name in startup.GATED and not reloaded:
        return gates.close
    # A reload makes new, native classes.
    return _patch_again


def patch(package: ModuleType) -> None:
    """Patch a package of the SDK that has just been executed. If it raises, the import fails."""
    # Loads wrapt; without wrapt it raises, and all gates stay closed.
    from kruise_autopatch.activation import on_import

    on_import(package)
    # Where it decided to leave the SDK as it is.
    gates.open_all()


def _patch_again(module: ModuleType) -> None:
    if module.__name__ in startup.GATED:
        gates.close(module)
    patch(sys.modules[module.__name__.partition(".")[0]])


def close_loaded() -> None:
    """Close the gates of modules that were imported while our finder was not asked."""
    for name in startup.GATED:
        if name in sys.modules:
            gates.close(sys.modules[name])


def attend_loaded_packages() -> None:
    """Patch the packages that were imported before the finder was there.

    Called at start-up, where an error would be printed and forgotten. So the gates are closed
    first: they raise it when the program builds its first client.
    """
    close_loaded()
    for name in startup.PACKAGES:
        if name in sys.modules:
            try:
                patch(sys.modules[name])
            except Exception:
                return
