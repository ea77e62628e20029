"""What the doctor found: for people, for programs, and without secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from kruise_autopatch.api_keys import decode_api_key, encode_api_key
from kruise_autopatch.errors import ConfigurationError

State = Literal["ok", "note", "problem"]

_COLOURS = {"ok": "32", "note": "33", "problem": "31;1"}

# Variables whose values are never shown.
SECRETS = ("E2B_API_KEY", "E2B_ACCESS_TOKEN")

_USER_INFORMATION = re.compile(r"(?<=://)[^\s/?#@]*@")
_TRAFFIC_TOKEN = re.compile(r"eyJ[\w-]*\.[\w-]+\.[\w-]*")


class Finding(NamedTuple):
    """One line of the doctor's report."""

    # Stays the same from release to release, for programs.
    check: str
    state: State
    text: str
    # What to do next, one sentence; None if nothing has to be done.
    advice: str | None = None
    # More of the same, for programs only.
    details: Sequence[str] = ()


class Censor:
    """Takes keys, tokens and passwords out of a text, and what would disturb a terminal."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        secrets: dict[str, str] = {}
        for name in SECRETS:
            value = environment.get(name, "")
            for form in {value, *value.split(), *_other_forms(value.strip())}:
                # Anything shorter is part of ordinary words.
                if len(form) > 5:
                    secrets[form] = f"<{name}>"
        # The longest first: one may contain another.
        self._secrets = sorted(secrets.items(), key=lambda item: -len(item[0]))

    def __call__(self, text: str) -> str:
        for secret, name in self._secrets:
            text = text.replace(secret, name)
        text = _USER_INFORMATION.sub("<user>@", text)
        text = _TRAFFIC_TOKEN.sub("<token>", text)
        text = " ".join(text.split())
        return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)

    def finding(self, finding: Finding) -> Finding:
        return finding._replace(
            text=self(finding.text),
            advice=finding.advice and self(finding.advice),
            details=[self(line) for line in finding.details],
        )


def divided(message: str) -> tuple[str, str | None]:
    """One of our own errors as what is wrong and what to do."""
    fact, semicolon, advice = message.partition("; write ")
    return (fact, f"write {advice}") if semicolon else (message.rstrip("."), None)


def _other_forms(key: str) -> Iterable[str]:
    if not key:
        return
    try:
        yield encode_api_key(key)
        yield decode_api_key(key)
    except (ConfigurationError, UnicodeError):
        return


def succeeded(findings: Iterable[Finding]) -> bool:
    return all(finding.state != "problem" for finding in findings)


def line(finding: Finding, *, colour: bool) -> str:
    """A finding for people."""
    state = finding.state.ljust(7)
    if colour:
        state = f"\x1b[{_COLOURS[finding.state]}m{state}\x1b[0m"
    advice = f" Next: {finding.advice}" if finding.advice else ""
    return f"{state}  {finding.text}.{advice}"


def summary(findings: Sequence[Finding]) -> str:
    """The last line for people."""
    problems = sum(finding.state == "problem" for finding in findings)
    if not problems:
        return "\nNo problem was found."
    return f"\n{problems} problem{'s were' if problems > 1 else ' was'} found."


def as_json(findings: Sequence[Finding]) -> str:
    """An object for programs; ``ok`` is what the exit status says."""
    report = {
        "ok": succeeded(findings),
        "findings": [
            {
                "check": finding.check,
                "state": finding.state,
                "text": finding.text,
                "next": finding.advice,
                "details": list(finding.details),
            }
            for finding in findings
        ],
    }
    return json.dumps(report, indent=2)
