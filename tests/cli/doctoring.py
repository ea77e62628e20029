"""The doctor, in a fresh interpreter or in this one, and what it found."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest import mock

import pytest

from kruise_autopatch.cli import main
from kruise_autopatch.cli.doctor import child, sdk
from support import forked, fresh

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


def examine_here(variables: Mapping[str, str], *options: str) -> Report:
    """As :func:`examine`, for a sixth of the time: the doctor runs in this process.

    What it wants to know of the SDK, it asks a child of an interpreter that has imported it
    natively already, as its own child would. For what depends neither on how Python starts nor on
    what is installed.
    """
    output = io.StringIO()
    forking = SimpleNamespace(**{**vars(subprocess), "run": _run_forked})
    with pytest.MonkeyPatch.context() as patching, tempfile.TemporaryDirectory() as elsewhere:
        patching.setattr(child, "subprocess", forking)
        patching.chdir(elsewhere)
        with (
            mock.patch.dict(os.environ, fresh.environment(variables), clear=True),
            contextlib.redirect_stdout(output),
            pytest.raises(SystemExit) as end,
        ):
            main.main(["doctor", "--json", *options])
    done = subprocess.CompletedProcess([], int(end.value.code or 0), output.getvalue())
    return report_of(done)


def _run_forked(command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    _, _, code, *arguments = command
    if not code.endswith(sdk._PROBE):
        return subprocess.run(command, **options)
    return forked.native.run(["-c", code, *arguments], options["env"])
