"""The finder's work: find a watched module by the other finders, and have its loader call the hook.

wrapt's own import hooks are not used: wrapt would have to be loaded before the SDK, it forgets a
hook that has raised, and it knows nothing of ``importlib.reload``.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, cast

import kruise_autopatch.startup as startup
from kruise_autopatch.hook import HookedLoader, follow_up


class _Searches(threading.local):
    """What this thread is looking for at the moment."""

    def __init__(self) -> None:
        self.names: set[str] = set()


_searches = _Searches()


def wait() -> bool:
    """Put the finder on ``sys.meta_path``; ``False`` if it is there already."""
    if is_waiting():
        return False
    sys.meta_path.insert(0, startup)
    return True


def is_waiting() -> bool:
    return startup in sys.meta_path


def stop_waiting() -> None:
    """Take the finder off ``sys.meta_path`` again."""
    if is_waiting():
        sys.meta_path.remove(startup)


def find_watched(
    fullname: str, path: Sequence[str] | None, target: ModuleType | None
) -> ModuleSpec | None:
    """The spec that the other finders have for a watched module, with a loader of ours.

    :raises ImportError: the module's loader is of a kind that cannot be followed
    """
    # Other finders, wrapt's among them, ask the whole of sys.meta_path again, ours included.
    if fullname in _searches.names:
        return None
    _searches.names.add(fullname)
    try:
        spec = _find_elsewhere(fullname, path, target)
    finally:
        _searches.names.discard(fullname)
    # Without a loader it is a namespace package, a directory without the SDK's code.
    if spec is not None and spec.loader is not None:
        _follow(spec, reloaded=target is not None)
    return spec


def _find_elsewhere(
    fullname: str, path: Sequence[str] | None, target: ModuleType | None
) -> ModuleSpec | None:
    # A copy: wrapt puts its finder first while this runs.
    for other in list(sys.meta_path):
        find_spec = getattr(other, "find_spec", None)
        if other is startup or find_spec is None:
            continue
        spec: ModuleSpec | None = find_spec(fullname, path, target)
        if spec is not None:
            return spec
    return None


def _follow(spec: ModuleSpec, *, reloaded: bool) -> None:
    loader: Any = spec.loader
    if not hasattr(loader, "exec_module"):
        raise ImportError(
            f"kruise-autopatch is on, but cannot follow how {spec.name} is imported: its loader,"
            f" {type(loader).__qualname__}, has no exec_module. Load it in another way, or unset"
            " KRUISE_E2B_PATCH.",
            name=spec.name,
        )
    # A finder may hand out the same spec again.
    if type(loader) is not HookedLoader:
        hooked = HookedLoader(loader, follow_up(spec.name, reloaded=reloaded))
        spec.loader = cast("Loader", hooked)
