"""The finder's work: find a watched module by the other finders, and follow its import.

The module's loader gets a post-import hook. wrapt's own import hooks are not used: wrapt would have
to be loaded before the SDK, it forgets a hook that has raised, and it knows nothing of
``importlib.reload``.

Loaded while Python holds the import lock of e2b and e2b is not in ``sys.modules`` yet: whoever
imports a submodule then waits with that one's lock in hand, and the import of e2b ends in a
deadlock. So nothing is imported here that is not there already.
"""

from __future__ import annotations

import sys
from _thread import _local

import kruise_autopatch.start_up.gates as gates
from kruise_autopatch import GATED, PACKAGES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    from kruise_autopatch.start_up import FollowUp


class HookedLoader:
    """Stands in for the loader of a watched module, until the module is executed."""

    def __init__(self, native: Any, then: Callable[[ModuleType], None]) -> None:
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


class _Searches(_local):
    """What this thread is looking for at the moment."""

    def __init__(self) -> None:
        self.names: set[str] = set()


_searches = _Searches()


def find_watched(
    ours: Any,
    fullname: str,
    path: Sequence[str] | None,
    target: ModuleType | None,
    follow_up: FollowUp,
) -> ModuleSpec | None:
    """The spec that the finders other than ``ours`` have for a watched module, with a loader of
    ours.

    :raises CannotPatchError: the module's loader is of a kind that cannot be followed
    """
    # Other finders, wrapt's among them, ask the whole of sys.meta_path again, ours included.
    if fullname in _searches.names:
        return None
    _searches.names.add(fullname)
    try:
        spec = _find_elsewhere(ours, fullname, path, target)
    finally:
        _searches.names.discard(fullname)
    # Without a loader it is a namespace package, a directory without the SDK's code.
    if spec is not None and spec.loader is not None:
        _follow(spec, _after(fullname, follow_up, reloaded=target is not None))
    return spec


def _find_elsewhere(
    ours: Any, fullname: str, path: Sequence[str] | None, target: ModuleType | None
) -> ModuleSpec | None:
    # A copy: wrapt puts its finder first while this runs.
    for other in list(sys.meta_path):
        find_spec = getattr(other, "find_spec", None)
        if other is ours or find_spec is None:
            continue
        spec: ModuleSpec | None = find_spec(fullname, path, target)
        if spec is not None:
            return spec
    return None


def _follow(spec: ModuleSpec, then: Callable[[ModuleType], None]) -> None:
    loader: Any = spec.loader
    if not hasattr(loader, "exec_module"):
        from kruise_autopatch.errors import CannotPatchError

        raise CannotPatchError(
            f"kruise-autopatch is on, but cannot follow how {spec.name} is imported: its loader,"
            f" {type(loader).__qualname__}, has no exec_module",
            "Load it in another way, or unset KRUISE_E2B_PATCH.",
            name=spec.name,
        )
    # A finder may hand out the same spec again.
    if type(loader) is not HookedLoader:
        hooked: Any = HookedLoader(loader, then)
        spec.loader = hooked


def _after(name: str, follow_up: FollowUp, *, reloaded: bool) -> Callable[[ModuleType], None]:
    """What is to be done after the module ``name`` has been executed."""

    def then(module: ModuleType) -> None:
        if name in GATED:
            gates.close(module, follow_up)
        elif name not in PACKAGES and not name.startswith("e2b."):
            gates.refuse_copy(module)
        # A reload of a submodule makes new, native classes.
        if name in PACKAGES or reloaded:
            package = sys.modules.get(name.partition(".")[0], module)
            gates.follow(package, follow_up)

    return then


def close_loaded(follow_up: FollowUp) -> None:
    """Close the gates of modules that were imported while our finder was not asked."""
    for name in GATED:
        if name in sys.modules:
            gates.close(sys.modules[name], follow_up)


def attend_loaded(follow_up: FollowUp) -> None:
    """Patch the packages that were imported before the finder was there.

    Called at start-up, where an error would be printed and forgotten. So the gates are closed
    first: they raise it when the program builds its first client.
    """
    close_loaded(follow_up)
    for name in PACKAGES:
        if name in sys.modules:
            try:
                gates.follow(sys.modules[name], follow_up)
            except Exception:
                return
