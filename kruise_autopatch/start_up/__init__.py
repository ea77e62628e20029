"""What the interpreter runs at start-up, and the ``sys.meta_path`` finder that it leaves there.

Run from ``kruise_autopatch.pth``. Nothing but ``os`` and ``sys`` may be imported here, and nothing
may escape: an exception in a ``.pth`` line is printed at every start of every Python program of the
environment.

This module is the finder: the import system asks any object that has a ``find_spec``. ``os`` is
imported where it is used: what the globals of a finder refer to outlives the other modules at the
interpreter's end, which then takes ``os`` apart by hand, at a third of the whole cost.
"""

import sys

from kruise_autopatch import OFF, PACKAGES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    # What is done with a package of the SDK that has just been executed. If it raises, the import
    # fails.
    FollowUp = Callable[[ModuleType], None]

_THIS = sys.modules[__name__]


def _nothing(package):
    # type: (ModuleType) -> None
    """Stands for a follow-up that nobody has handed over yet."""


_follow_up = _nothing  # type: FollowUp


class _MetaPath(list):  # type: ignore[type-arg]
    """``sys.meta_path`` with our finder before those that are put first after it.

    They may claim the SDK, and the import system asks nobody behind them then.
    """

    def insert(self, index, finder):
        # type: (Any, Any) -> None
        ours = index == 0 and self[:1] == [_THIS] and finder is not _THIS
        list.insert(self, 1 if ours else index, finder)


# Type comments, unlike annotations, cost nothing at run time.
def find_spec(fullname, path=None, target=None):
    # type: (str, Sequence[str] | None, ModuleType | None) -> ModuleSpec | None
    """The import system's question (PEP 451); ``target`` is given on reload only.

    Everything is left to the other finders, what is watched by way of
    :mod:`kruise_autopatch.start_up.loader`. That is loaded only then, so a program that never
    imports the SDK pays for three comparisons per import.
    """
    if sys.meta_path[0] is not _THIS:
        _go_first()
    if (
        fullname in PACKAGES
        # Of the SDK's own two, or of a copy of it under another name.
        or fullname.endswith(".connection_config")
        or (target is not None and fullname.partition(".")[0] in PACKAGES)
    ):
        import kruise_autopatch.start_up.loader as loader

        return loader.find_watched(_THIS, fullname, path, target, _follow_up)
    return None


def install(follow_up):
    # type: (FollowUp) -> None
    """Wait for the E2B SDK, if ``KRUISE_E2B_PATCH`` is set and not off.

    Called twice per process in virtual environments of many CPython releases (gh-75723), so it
    is idempotent. A misspelt value is reported when e2b is imported, not here, so that programs
    that never use e2b live on.
    """
    import os

    if os.environ.get("KRUISE_E2B_PATCH", "").strip().lower() in OFF or is_waiting():
        return
    sys.meta_path = _MetaPath(sys.meta_path)
    wait(follow_up)
    if not sys.modules.keys().isdisjoint(PACKAGES):
        # Another start-up file imported the SDK before us.
        import kruise_autopatch.start_up.loader as loader

        loader.attend_loaded(follow_up)


def wait(follow_up):
    # type: (FollowUp) -> None
    """Put the finder first on ``sys.meta_path``."""
    global _follow_up
    _follow_up = follow_up
    sys.meta_path.insert(0, _THIS)


def is_waiting():
    # type: () -> bool
    """Whether the finder is on ``sys.meta_path``."""
    return _THIS in sys.meta_path


def stop_waiting():
    # type: () -> None
    """Take the finder off ``sys.meta_path`` again."""
    if is_waiting():
        sys.meta_path.remove(_THIS)


def _go_first():
    # type: () -> None
    """Take the first place again: ``sys.meta_path`` was changed in a way that we do not see."""
    finders = sys.meta_path
    # Whoever asks the finders one by one is at this one, and goes on behind it.
    if _THIS in finders:
        others = [finder for finder in finders if finder is not _THIS]
        finders[:] = [_THIS, *others]
    if "e2b" in sys.modules:
        # Perhaps imported while another one was first.
        import kruise_autopatch.start_up.loader as loader

        loader.close_loaded(_follow_up)
