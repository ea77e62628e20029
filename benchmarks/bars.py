"""Pairs of bars as one SVG drawing: what something costs without us, and with us."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

_STOCK, _OURS, _GOAL = "#9aa5b1", "#2c728e", "#d62728"
_LABELS, _WIDTH, _MARGIN = 190, 420, 130
_BAR, _ROW, _HEAD, _FOOT = 9, 30, 58, 14


class Pair(NamedTuple):
    """A row: both in the same unit, and what the second may be at most, or should be at least."""

    name: str
    stock: float
    ours: float
    goal: float | None
    # Beside the bars.
    text: str


def drawing(title: str, legend: tuple[str, str], goal: str, pairs: Sequence[Pair]) -> str:
    """The whole SVG document. Each row has a scale of its own, on which its longest bar is full.

    :param legend: what the first and the second bar of each row are of
    :param goal: what a goal is, if there are any
    """
    width = _LABELS + _WIDTH + _MARGIN
    height = _HEAD + len(pairs) * _ROW + _FOOT
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
        f' height="{height}" font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        _text(8, 22, title, ' font-size="16" font-weight="bold"'),
    ]
    for x, colour, name in ((_LABELS, _STOCK, legend[0]), (_LABELS + 150, _OURS, legend[1])):
        body += [_bar(x, 36, 12, colour), _text(x + 18, 45, name)]
    if goal:
        body += [_tick(_LABELS + 306, 34, 14), _text(_LABELS + 318, 45, goal)]
    for number, pair in enumerate(pairs):
        y = _HEAD + number * _ROW
        scale = _WIDTH / max(pair.stock, pair.ours, pair.goal or 0)
        body += [
            _text(_LABELS - 10, y + 14, pair.name, ' text-anchor="end"'),
            _bar(_LABELS, y, pair.stock * scale, _STOCK),
            _bar(_LABELS, y + _BAR + 1, pair.ours * scale, _OURS),
            _text(_LABELS + _WIDTH + 10, y + 14, pair.text),
        ]
        if pair.goal is not None:
            body.append(_tick(_LABELS + pair.goal * scale, y - 2, 2 * _BAR + 5))
    return "\n".join([*body, "</svg>\n"])


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}"{more}>{escape(text)}</text>'


def _bar(x: float, y: float, width: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{colour}"/>'


def _tick(x: float, y: float, height: float) -> str:
    return f'<path d="M{x:.1f} {y}v{height}" stroke="{_GOAL}" stroke-width="2"/>'
