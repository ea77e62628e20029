"""What start-up leaves for the import of the SDK, and how the finder is put in its place.

The finder is the package itself, :mod:`kruise_autopatch`.
"""

from __future__ import annotations

import sys

import kruise_autopatch as finder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    # What is done with a package of the SDK that has just been executed. If it raises, the import
    # fails.
    FollowUp = Callable[[ModuleType], None]


def wait(follow_up: FollowUp) -> None:
    """Put the finder first on ``sys.meta_path``."""
    finder._follow_up = follow_up
    sys.meta_path.insert(0, finder)


def is_waiting() -> bool:
    """Whether the finder is on ``sys.meta_path``."""
    return finder in sys.meta_path


def stop_waiting() -> None:
    """Take the finder off ``sys.meta_path`` again."""
    if is_waiting():
        sys.meta_path.remove(finder)
