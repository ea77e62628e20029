"""Run code in a fresh interpreter of the environment under test, as a user's program would run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support import loopback

# Seconds. Far above what any of these programs needs, so that only a hang meets it.
PATIENCE = 600

# One authority, which signs nothing. Reading those that everybody trusts takes 40 ms of processor
# time, for each transport of the SDK.
FEW_AUTHORITIES = {"SSL_CERT_FILE": str(Path(__file__).with_name("nobody.pem"))}
_OURS = ("E2B_", "KRUISE_", "PYTHON", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_")


def environment(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process' environment without anything that steers the SDK, Python or us; and a program
    with it trusts no server on the internet."""
    kept = {name: v for name, v in os.environ.items() if not name.upper().startswith(_OURS)}
    return loopback.guarded({**kept, **FEW_AUTHORITIES, **(variables or {})})


def run(
    arguments: Sequence[str],
    variables: Mapping[str, str] | None = None,
    python: str = sys.executable,
) -> subprocess.CompletedProcess[str]:
    """Run ``python ARGUMENTS`` away from the checkout; the exit status is not checked."""
    with tempfile.TemporaryDirectory() as elsewhere:
        return subprocess.run(
            [python, *arguments],
            env=environment(variables),
            cwd=elsewhere,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )


def output(code: str, variables: Mapping[str, str] | None = None, flags: Sequence[str] = ()) -> str:
    """What ``code`` prints. Fails the test, with the error output, if it does not exit cleanly."""
    return printed(run([*flags, "-c", code], variables))


def value(code: str, variables: Mapping[str, str] | None = None, flags: Sequence[str] = ()) -> Any:
    """The value of ``result`` after ``code`` has run, passed through JSON."""
    return json.loads(output(f"{code}\n{PRINTING}", variables, flags).splitlines()[-1])


def error(code: str, variables: Mapping[str, str] | None = None) -> str:
    """The last line of the traceback of ``code``, which must raise."""
    return raised(run(["-c", code], variables))


PRINTING = "import json; print(json.dumps(result))"


def printed(done: subprocess.CompletedProcess[str]) -> str:
    """What a program has printed that ended well."""
    assert done.returncode == 0, f"exit status {done.returncode}: {done.stderr}"
    return done.stdout.strip()


def raised(done: subprocess.CompletedProcess[str]) -> str:
    """What a program has raised: the last line of the traceback."""
    assert done.returncode == 1, f"did not raise; it printed {done.stdout!r}"
    return done.stderr.strip().splitlines()[-1]
