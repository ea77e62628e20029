"""What the doctor found, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from kruise_autopatch.cli.doctor.catalogue import KINDS, State


class Finding(NamedTuple):
    """One line of the doctor's report."""

    # What was looked at, and what was found: both stay the same from release to release.
    check: str
    code: str
    state: State
    text: str
    # What to do next; None if nothing has to be done.
    advice: str | None = None
    # More of the same, for programs only.
    details: Sequence[str] = ()

    def rewritten(self, rewrite: Callable[[str], str]) -> Finding:
        """The same with each of its texts rewritten."""
        return self._replace(
            text=rewrite(self.text),
            advice=self.advice and rewrite(self.advice),
            details=[rewrite(line) for line in self.details],
        )


def found(check: str, code: str, *, details: Sequence[str] = (), **facts: Any) -> Finding:
    """The finding of a kind in the catalogue, with what was found filled in."""
    kind = KINDS[code]
    advice = kind.advice and kind.advice.format_map(facts)
    return Finding(check, code, kind.state, kind.text.format_map(facts), advice, details)


def succeeded(findings: Iterable[Finding]) -> bool:
    return all(finding.state != "problem" for finding in findings)


def line(finding: Finding) -> str:
    """A finding for a log, where it can be searched for."""
    advice = f" Next: {finding.advice}" if finding.advice else ""
    return f"{finding.state:7}  {finding.text}.{advice}"


def counted(findings: Iterable[Finding]) -> str:
    """How many problems there are, in a sentence."""
    problems = sum(finding.state == "problem" for finding in findings)
    if not problems:
        return "No problem was found."
    return f"{problems} problem{'s were' if problems > 1 else ' was'} found."


def as_json(findings: Sequence[Finding]) -> str:
    """An object for programs; ``ok`` is what the exit status says."""
    report = {
        "ok": succeeded(findings),
        "findings": [
            {
                "check": finding.check,
                "code": finding.code,
                "state": finding.state,
                "text": finding.text,
                "next": finding.advice,
                "details": list(finding.details),
            }
            for finding in findings
        ],
    }
    return json.dumps(report, indent=2)
