"""The results as Markdown, aligned for a terminal: one column for each Python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from start_up.cases import INSTRUCTIONS, MEMORY, MODULES, QUANTITIES, TIME, Case
from start_up.results import Figures, verdict, with_results

_FORMS = {INSTRUCTIONS: "{:+.2f}", TIME: "{:+.1f}", MODULES: "{:+.0f}", MEMORY: "{:+.1f}"}


def report(cases: Sequence[Case], figures: Sequence[Figures]) -> str:
    """Everything: goals, a table for each quantity, what was left out."""
    return "\n\n".join(_sections(with_results(cases, figures), figures)) + "\n"


def table(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """The first two columns to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(headings, *lines)]
    rule = ["-" * width for width in widths[:2]] + ["-" * (width - 1) + ":" for width in widths[2:]]
    return "\n".join(
        "| " + " | ".join(_aligned(line, widths)) + " |" for line in (headings, rule, *lines)
    )


def _aligned(line: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    yield from (cell.ljust(width) for cell, width in zip(line[:2], widths))
    yield from (cell.rjust(width) for cell, width in zip(line[2:], widths[2:]))


def _sections(cases: Sequence[Case], figures: Sequence[Figures]) -> Iterator[str]:
    series = [one.series for one in figures]
    yield "\n".join(f"- {one.about}" for one in figures)
    goals = list(_goals(cases, figures))
    if goals:
        yield "**Goals**, in instructions"
        yield table(["start of Python", "goal", *series], goals)
    for quantity in QUANTITIES:
        lines = list(_extras(quantity, cases, figures))
        if lines:
            yield f"**Extra {quantity}**"
            yield table(["start of Python", "over", *series], lines)
    left_out = list(_left_out(figures))
    if left_out:
        yield "**Left out**"
        yield "\n".join(left_out)


def _goals(cases: Sequence[Case], figures: Sequence[Figures]) -> Iterator[Sequence[str]]:
    for case in cases:
        if case.goal is not None:
            goal = case.goal
            verdicts = [verdict(goal, one.cost(case.name, goal)) for one in figures]
            if any(verdicts):
                yield [case.name, str(goal), *verdicts]


def _extras(
    quantity: str, cases: Sequence[Case], figures: Sequence[Figures]
) -> Iterator[Sequence[str]]:
    """First what the baselines cost in all, then what the others add to theirs."""
    for case in cases:
        if case.baseline is None:
            form = _FORMS[quantity].replace("+", "")
            found = [one.typical(quantity, case.name) for one in figures]
        else:
            form = _FORMS[quantity]
            found = [one.extra(quantity, case.name, case.baseline) for one in figures]
        if any(value is not None for value in found):
            cells = ["" if value is None else form.format(value) for value in found]
            yield [case.name, case.baseline or "(in all)", *cells]


def _left_out(figures: Sequence[Figures]) -> Iterator[str]:
    """One line for each reason."""
    reasons: dict[str, dict[str, None]] = {}
    series: dict[str, dict[str, None]] = {}
    for one in figures:
        for case, reason in one.left_out.items():
            reasons.setdefault(reason, {})[case] = None
            series.setdefault(reason, {})[one.series] = None
    for reason, cases in reasons.items():
        yield f"- {', '.join(series[reason])}: {'; '.join(cases)}: {reason}"
