"""The samples of each Python, and the figures and verdicts that follow from them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from start_up.cases import BARE, INSTRUCTIONS, TIME, Case, Goal


@dataclass(frozen=True)
class Figures:
    """What was measured on one Python."""

    series: str
    about: str
    # By quantity, then by case.
    samples: Mapping[str, Mapping[str, Sequence[float]]]
    # The cases that could not be measured here, and why.
    left_out: Mapping[str, str]

    def typical(self, quantity: str, case: str) -> float | None:
        """The median; of times the fastest tenth, which others on the machine disturbed least."""
        found = sorted(self.samples.get(quantity, {}).get(case, ()))
        if not found:
            return None
        return found[len(found) // 10] if quantity == TIME else median(found)

    def extra(self, quantity: str, case: str, baseline: str | None) -> float | None:
        """What the case takes more than the other one."""
        mine = self.typical(quantity, case)
        theirs = self.typical(quantity, baseline) if baseline else None
        return None if mine is None or theirs is None else mine - theirs

    def cost(self, case: str, goal: Goal) -> float | None:
        """What the goal is about, in the unit of its limit."""
        cost = self.extra(INSTRUCTIONS, case, goal.over)
        if cost is None or not goal.relative:
            return cost
        whole = self.extra(INSTRUCTIONS, goal.over, BARE)
        return 100 * cost / whole if whole else None


def verdict(goal: Goal, cost: float | None) -> str:
    """Whether the goal is met, and by what."""
    if cost is None:
        return ""
    figure = f"{cost:+.1f} %" if goal.relative else f"{cost:+.2f}"
    return f"{figure} {'met' if cost <= goal.limit else 'MISSED'}"


def with_results(cases: Iterable[Case], figures: Sequence[Figures]) -> list[Case]:
    """The cases that were measured on at least one Python."""
    return [
        case
        for case in cases
        if any(case.name in samples for one in figures for samples in one.samples.values())
    ]


def save(figures: Sequence[Figures], file: Path) -> None:
    file.write_text(json.dumps([asdict(one) for one in figures], indent=1) + "\n")


def load(file: Path) -> list[Figures]:
    return [Figures(**one) for one in json.loads(file.read_text())]
