"""What :func:`kruise_autopatch.status` returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kruise_autopatch.settings import Settings


class Report(NamedTuple):
    """What became of one patch point: ``applied`` or ``absent`` (not in this SDK release)."""

    name: str
    state: str


class Status(NamedTuple):
    """Whether the SDK of this process is patched, by whom, and with which settings."""

    enabled: bool
    # "environment" or "patch_e2b"; None while off.
    source: str | None
    # None while off, and while e2b has not been imported: only then are the variables read.
    settings: Settings | None
    patches: Sequence[Report]
    sdk_imported: bool

    def __str__(self) -> str:
        if not self.enabled:
            return "kruise-autopatch: off"
        if not self.patches:
            waiting = "the imported e2b is not patched" if self.sdk_imported else "waiting for e2b"
            return f"kruise-autopatch: on, {waiting}"
        head = f"kruise-autopatch: on, by {self.source}, {self.settings}"
        return "\n".join([head, *(f"  {patch.name}: {patch.state}" for patch in self.patches)])
