"""What start-up leaves for the import of the SDK, and how the finder is put in its place.

The finder stands in :mod:`kruise_autopatch`.
"""

from __future__ import annotations

import sys

import kruise_autopatch as ground

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    # What is done with a package of the SDK that has just been executed. If it raises, the import
    # fails.
    FollowUp = Callable[[ModuleType], None]


def wait(follow_up: FollowUp) -> None:
    """Put the finder first on ``sys.meta_path``."""
    ground._follow_up = follow_up
    sys.meta_path.insert(0, ground._FINDER)


def is_waiting() -> bool:
    """Whether the finder is on ``sys.meta_path``."""
    return ground._FINDER in sys.meta_path


def stop_waiting() -> None:
    """Take the finder off ``sys.meta_path`` again."""
    if is_waiting():
        sys.meta_path.remove(ground._FINDER)
