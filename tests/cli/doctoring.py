"""The doctor in a fresh interpreter, and what it found."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from support import fresh

DOCTOR = ("-m", "kruise_autopatch", "doctor")


class Report(NamedTuple):
    """The doctor's findings by check, and its exit status."""

    findings: Mapping[str, Any]
    status: int
    text: str

    def state(self, check: str) -> str:
        return str(self.findings[check]["state"])

    def line(self, check: str) -> str:
        finding = self.findings[check]
        return f"{finding['text']} {finding['next']}"


def run(
    command: Sequence[str],
    variables: Mapping[str, str] | None = None,
    cwd: str | None = None,
    text: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """``fresh.run`` for any command, with ``text`` as its standard input."""
    with tempfile.TemporaryDirectory() as elsewhere:
        return subprocess.run(
            list(command),
            env=fresh.environment(variables),
            cwd=cwd or elsewhere,
            stdin=subprocess.DEVNULL if text is None else None,
            input=text,
            capture_output=True,
            text=True,
            timeout=fresh.PATIENCE,
            check=False,
        )


def report_of(done: subprocess.CompletedProcess[str]) -> Report:
    found = json.loads(done.stdout)
    assert found["ok"] is (done.returncode == 0)
    findings = {finding["check"]: finding for finding in found["findings"]}
    return Report(findings, done.returncode, done.stdout)


def examine(
    variables: Mapping[str, str],
    *options: str,
    flags: Sequence[str] = (),
    python: str = sys.executable,
) -> Report:
    """Run ``doctor --json``."""
    done = run([python, *flags, *DOCTOR, "--json", *options], variables)
    assert done.stderr == ""
    return report_of(done)
