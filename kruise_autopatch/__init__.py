"""Move every URL of E2B's Python SDK to OpenKruise Agents' private, single-host protocol.

This package is imported at interpreter start-up, and leaves its finder on ``sys.meta_path``. That
stands here, since each module more would cost every start half as much again; what it needs once
the SDK is imported is in :mod:`kruise_autopatch.start_up`. The names of ``kruise_autopatch.public``
are loaded on first use (PEP 562). Nothing but ``os`` and ``sys`` may be imported here, and nothing
may escape: an exception in a ``.pth`` line is printed at every start of every Python program of the
environment.

What is loaded with the SDK imports its neighbours as ``import kruise_autopatch.X as X``: the other
form would ask ``__getattr__`` for each of them.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    from kruise_autopatch._version import __version__ as __version__
    from kruise_autopatch.public import *

# How a switch is spelled that is off; compared without case and surrounding space.
OFF = ("0", "false", "no", "off", "")

# The top-level packages of the three SDK distributions.
PACKAGES = ("e2b", "e2b_code_interpreter", "e2b_desktop")
# The same for the finder, which is asked at each import: a set is quicker.
_WATCHED = frozenset(PACKAGES)
# The modules whose classes every client of the SDK begins with.
GATED = ("e2b.connection_config", "e2b.volume.connection_config")


class _MetaPath(list):  # type: ignore[type-arg]
    """``sys.meta_path`` with our finder before those that are put first after it.

    They may claim the SDK, and the import system asks nobody behind them then.
    """

    def insert(self, index, finder):
        # type: (Any, Any) -> None
        ours = index == 0 and self[:1] == [_FINDER] and finder is not _FINDER
        list.insert(self, 1 if ours else index, finder)


# Type comments, unlike annotations, cost nothing at run time.
def start():
    # type: () -> None
    """What ``kruise_autopatch.pth`` calls at each start of Python; never renamed, never raises.

    Waits for the SDK, if ``KRUISE_E2B_PATCH`` is set and not off. Called twice per process in
    virtual environments of many CPython releases (gh-75723), so it is idempotent. A misspelt value
    is reported when e2b is imported, not here, so that programs that never use e2b live on.
    """
    # Not above: what the globals of a finder refer to outlives the other modules at the
    # interpreter's end, which then takes os apart by hand, at a third of the whole cost.
    import os

    if os.environ.get("KRUISE_E2B_PATCH", "").strip().lower() in OFF or _FINDER in sys.meta_path:
        return
    sys.meta_path = _MetaPath([_FINDER, *sys.meta_path])
    if not sys.modules.keys().isdisjoint(PACKAGES):
        # Another start-up file imported the SDK before us.
        _room("start_up.loader").attend_loaded(_follow_up)


def find_spec(fullname, path=None, target=None):
    # type: (str, Sequence[str] | None, ModuleType | None) -> ModuleSpec | None
    """The import system's question (PEP 451); ``target`` is given on reload only.

    Everything is left to the other finders, what is watched by way of
    :mod:`kruise_autopatch.start_up.loader`. That is loaded only then, so a program that never
    imports the SDK pays for three comparisons per import.
    """
    if sys.meta_path[0] is not _FINDER:
        _go_first()
    if (
        fullname in _WATCHED
        # Of the SDK's own two, or of a copy of it under another name. That hardly any has it at
        # all is found out in a third of the time.
        or (".connection_config" in fullname and fullname.endswith(".connection_config"))
        or (target is not None and fullname.partition(".")[0] in _WATCHED)
    ):
        found = _room("start_up.loader").find_watched(_FINDER, fullname, path, target, _follow_up)
        return found  # type: ignore[no-any-return]
    return None


# Not this module: many a tool asks finders for more, and that would load our public names. A
# namespace has just what it is given.
_namespace = type(sys.implementation)  # type: Any
_FINDER = _namespace(__name__=__name__, find_spec=find_spec)


def _go_first():
    # type: () -> None
    """Take the first place again: ``sys.meta_path`` was changed in a way that we do not see."""
    finders = sys.meta_path
    # Whoever asks the finders one by one is at this one, and goes on behind it.
    if _FINDER in finders:
        others = [finder for finder in finders if finder is not _FINDER]
        finders[:] = [_FINDER, *others]
    if "e2b" in sys.modules:
        # Perhaps imported while another one was first.
        _room("start_up.loader").close_loaded(_follow_up)


def _on_import(package):
    # type: (ModuleType) -> None
    """What follows the import of a package of the SDK. Loads wrapt, so only then."""
    _room("activation").on_import(package)


# Another one where the finder was put there by hand.
_follow_up = _on_import  # type: Callable[[ModuleType], None]


def __getattr__(name):
    # type: (str) -> Any
    return _room("public").find(name)


def _room(name):
    # type: (str) -> Any
    """By name: everything here stands on this module, and so it imports nothing of it."""
    full_name = f"kruise_autopatch.{name}"
    __import__(full_name)
    return sys.modules[full_name]


def __dir__():
    # type: () -> list[str]
    return [*globals(), *__getattr__("__all__")]
