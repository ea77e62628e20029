"""Which attributes of which SDK distribution are patched: one module per distribution."""

from __future__ import annotations

from collections.abc import Sequence

from kruise_autopatch.patches.engine import PatchPoint
from kruise_autopatch.settings import CurrentSettings


def points_for(package: str, settings: CurrentSettings) -> Sequence[PatchPoint]:
    """The patch points of a top-level package of the SDK, such as ``e2b_desktop``."""
    if package == "e2b":
        from kruise_autopatch.patches import e2b, traffic

        return (*e2b.points(settings), *traffic.points(settings))
    if package == "e2b_code_interpreter":
        from kruise_autopatch.patches import code_interpreter, traffic

        return (*code_interpreter.POINTS, *traffic.CODE_INTERPRETER_POINTS)
    from kruise_autopatch.patches import desktop

    return desktop.POINTS
