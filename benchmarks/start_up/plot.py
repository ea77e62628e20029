"""The extras as one SVG drawing: a row for each case, a panel for each quantity, a dot for each
Python. The scales are logarithmic, because the cases differ ten-thousandfold."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from start_up.cases import GROUPS, INSTRUCTIONS, MEMORY, MODULES, TIME, Case
from start_up.results import Figures, with_results

# From the oldest Python to the newest; blue to yellow, told apart by colour-blind readers too.
_COLOURS = ("#440154", "#3b528b", "#2c728e", "#21918c", "#35b779", "#90d743", "#fdc327")
_MISSED = "#d62728"

_LABELS = 270  # the width of the names on the left
_PANEL, _GAP = 215, 40
_ROW, _HEAD, _FOOT = 22, 78, 34
_DOT, _RING = 3.6, 5.4
# Dots of neighbours in age are this far apart, so that equal ones are all seen.
_STEP = 1.8


@dataclass(frozen=True)
class _Scale:
    """A logarithmic axis of powers of ten; what is below its start is drawn at its very left."""

    title: str
    first: int
    last: int

    def place(self, value: float) -> float:
        """From 0 to 1. The first tenth is for what is too small for the axis, or negative."""
        if value < 10**self.first:
            return 0.03
        along = (math.log10(value) - self.first) / (self.last - self.first)
        return 0.1 + 0.9 * min(along, 1.0)

    @property
    def ticks(self) -> Iterator[tuple[float, str]]:
        yield 0.03, "0"
        for power in range(self.first, self.last + 1):
            yield self.place(10.0**power), f"{10.0**power:,g}"


_SCALES: Mapping[str, _Scale] = {
    INSTRUCTIONS: _Scale("extra instructions, millions", -1, 4),
    TIME: _Scale("extra wall time, ms", -1, 3),
    MODULES: _Scale("extra modules", 0, 3),
    MEMORY: _Scale("extra memory, MB", -1, 2),
}


def drawing(cases: Sequence[Case], figures: Sequence[Figures]) -> str:
    """The whole SVG document."""
    rows = _rows(with_results(cases, figures))
    width = _LABELS + len(_SCALES) * (_PANEL + _GAP)
    height = _HEAD + len(rows) * _ROW + _FOOT
    body = [
        *_legend(figures),
        *_names(rows),
        *(
            element
            for number, quantity in enumerate(_SCALES)
            for element in _panel(
                _LABELS + number * (_PANEL + _GAP), quantity, rows, figures, height - _FOOT
            )
        ),
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
            f' width="{width}" height="{height}" font-family="sans-serif" font-size="12"'
            ' fill="#222">',
            f'<rect width="{width}" height="{height}" fill="white"/>',
            *body,
            "</svg>\n",
        ]
    )


def _rows(cases: Sequence[Case]) -> Sequence[Case | str]:
    """The cases that are compared with another one, under the names of their groups."""
    rows: list[Case | str] = []
    for title, group in GROUPS.items():
        members = [case for case in group if case in cases and case.baseline]
        if members:
            rows += [title, *members]
    return rows


def _middle(row: int) -> float:
    return _HEAD + (row + 0.5) * _ROW


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}"{more}>{escape(text)}</text>'


def _legend(figures: Sequence[Figures]) -> Iterator[str]:
    yield _text(8, 22, "What a start of Python costs", ' font-size="16" font-weight="bold"')
    x = _LABELS + 20.0
    for number, one in enumerate(figures):
        yield f'<circle cx="{x + 5}" cy="18" r="{_DOT}" fill="{_colour(number, figures)}"/>'
        yield _text(x + 14, 22, one.series)
        x += 58
    x += 14
    yield (
        f'<circle cx="{x}" cy="18" r="{_RING}" fill="none" stroke="{_MISSED}" stroke-width="1.5"/>'
    )
    yield _text(x + 12, 22, "over its goal (instructions)")


def _names(rows: Sequence[Case | str]) -> Iterator[str]:
    for number, row in enumerate(rows):
        y = _middle(number) + 4
        if isinstance(row, str):
            yield _text(8, y, row, ' font-weight="bold"')
        else:
            yield _text(_LABELS - 12, y, row.name, ' text-anchor="end"')


def _panel(
    left: float,
    quantity: str,
    rows: Sequence[Case | str],
    figures: Sequence[Figures],
    bottom: float,
) -> Iterator[str]:
    scale = _SCALES[quantity]
    yield _text(left, _HEAD - 24, scale.title, ' font-weight="bold"')
    for place, label in scale.ticks:
        x = left + place * _PANEL
        yield f'<path d="M{x:.1f} {_HEAD}V{bottom}" stroke="#ddd"/>'
        for y in (_HEAD - 6, bottom + 15):
            yield _text(x, y, label, ' text-anchor="middle" font-size="10" fill="#666"')
    for number, row in enumerate(rows):
        if isinstance(row, str):
            continue
        yield f'<path d="M{left} {_middle(number)}h{_PANEL}" stroke="#eee"/>'
        yield from _dots(left, _middle(number), quantity, row, figures)


def _dots(
    left: float, middle: float, quantity: str, case: Case, figures: Sequence[Figures]
) -> Iterator[str]:
    for number, one in enumerate(figures):
        y = middle + (number - (len(figures) - 1) / 2) * _STEP
        value = one.extra(quantity, case.name, case.baseline)
        if value is None:
            continue
        x = left + _SCALES[quantity].place(value) * _PANEL
        title = f"<title>{escape(case.name)}, Python {one.series}: {value:+.2f}</title>"
        colour = _colour(number, figures)
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_DOT}" fill="{colour}">{title}</circle>'
        cost = one.cost(case.name, case.goal) if case.goal else None
        if quantity == INSTRUCTIONS and case.goal and cost is not None and cost > case.goal.limit:
            yield (
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_RING}" fill="none"'
                f' stroke="{_MISSED}" stroke-width="1.5"/>'
            )


def _colour(number: int, figures: Sequence[Figures]) -> str:
    """Spread over the whole range of colours, however many Pythons there are."""
    steps = max(len(figures) - 1, 1)
    return _COLOURS[round(number * (len(_COLOURS) - 1) / steps)]
