"""The ``sys.meta_path`` finder that waits for the E2B SDK. Imported at start-up: only ``sys``."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

# The top-level packages of the three SDK distributions.
WATCHED = ("e2b", "e2b_code_interpreter", "e2b_desktop")


class SDKFinder:
    """Finds nothing itself: hands a watched import over to :mod:`kruise_autopatch.hook`.

    The hook, and wrapt with it, is loaded only then, so a program that never imports the SDK
    pays for one tuple lookup per import.
    """

    def find_spec(
        self,
        fullname: str,
        path: "Sequence[str] | None" = None,
        target: "ModuleType | None" = None,
    ) -> "ModuleSpec | None":
        """The import system's question (PEP 451); ``target`` is given on reload only."""
        if fullname in WATCHED or (target is not None and fullname.partition(".")[0] in WATCHED):
            from kruise_autopatch.hook import find_hooked_spec

            return find_hooked_spec(self, fullname, path, target)
        return None


def install() -> None:
    """Put one :class:`SDKFinder` on ``sys.meta_path``; doing it again changes nothing."""
    if not any(isinstance(finder, SDKFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, SDKFinder())


def uninstall() -> None:
    """Take our finder off ``sys.meta_path`` again."""
    sys.meta_path[:] = [f for f in sys.meta_path if not isinstance(f, SDKFinder)]
