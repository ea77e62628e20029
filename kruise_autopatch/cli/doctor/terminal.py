"""The doctor's report in a terminal: under headings, wrapped to its width, coloured if it can be.

In a log a finding is one line instead: :func:`kruise_autopatch.cli.doctor.findings.line`.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TextIO

from kruise_autopatch.cli.doctor.catalogue import SECTIONS, State
from kruise_autopatch.cli.doctor.findings import Finding, counted, succeeded

_MARKS: Mapping[State, str] = {
    "ok": "\N{CHECK MARK}",
    "note": "!",
    "problem": "\N{BALLOT X}",
}
# For an encoding that lacks them.
_WORDS: Mapping[State, str] = {"ok": "ok     ", "note": "note   ", "problem": "problem"}

# Select Graphic Rendition (ECMA-48, section 8.3.117).
_COLOURS: Mapping[State, str] = {"ok": "32", "note": "33", "problem": "1;31"}
_PLAIN, _BOLD, _CYAN = "", "1", "36"

_HEADINGS: Mapping[str, str] = {
    code: heading for heading, kinds in SECTIONS.items() for code in kinds
}

# Columns, below which wrapping does more harm than good.
_NARROWEST = 40


class View:
    """The lines of a report, finding by finding."""

    def __init__(self, *, width: int, colour: bool, encoding: str) -> None:
        self._width = max(width, _NARROWEST)
        self._colour = colour
        self._marks = _MARKS if _can_write("".join(_MARKS.values()), encoding) else _WORDS
        self._heading: str | None = None

    @classmethod
    def of(cls, terminal: TextIO, environment: Mapping[str, str]) -> View:
        """The view for a terminal; without colours if NO_COLOR (no-color.org) or TERM says so."""
        return cls(
            width=shutil.get_terminal_size().columns,
            colour=not environment.get("NO_COLOR") and environment.get("TERM") != "dumb",
            encoding=terminal.encoding,
        )

    def lines(self, finding: Finding) -> Iterator[str]:
        """A finding, below its heading if that is a new one."""
        heading = _HEADINGS[finding.code]
        if heading != self._heading:
            if self._heading is not None:
                yield ""
            yield self._painted(heading, _BOLD)
            self._heading = heading

        mark = self._marks[finding.state]
        margin = "  " + " " * len(mark) + " "
        first, *others = self._wrapped(finding.text, len(margin))
        style = _BOLD if finding.state == "problem" else _PLAIN
        yield f"  {self._painted(mark, _COLOURS[finding.state])} {self._painted(first, style)}"
        for line in others:
            yield margin + self._painted(line, style)
        if finding.advice:
            label, indented = "Next: ", margin
            for line in self._wrapped(finding.advice, len(margin + label)):
                yield indented + self._painted(label + line, _CYAN)
                label, indented = "", margin + " " * len("Next: ")

    def summary(self, findings: Sequence[Finding]) -> str:
        """The last line."""
        state: State = "ok" if succeeded(findings) else "problem"
        return self._painted(counted(findings), _COLOURS[state])

    def _wrapped(self, text: str, indentation: int) -> Sequence[str]:
        # A URL or a path stays in one piece, so that it can be copied.
        return textwrap.wrap(
            text, self._width - indentation, break_long_words=False, break_on_hyphens=False
        )

    def _painted(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour and code else text


def _can_write(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (LookupError, UnicodeEncodeError):
        return False
    return True
