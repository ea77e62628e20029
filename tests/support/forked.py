"""Run code as :mod:`support.fresh` does, but in a child of an interpreter that is warm already.

It has imported what the SDK needs, though nothing of the SDK, of ours, or wrapt: more than half of
what a fresh interpreter costs. The start-up file is read in the child, as ``site`` reads it. For
what depends on the SDK, not on how Python starts, what it loads, or what its flags are.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kruise_autopatch import PACKAGES
from support import fresh
from support.checkout import TESTS

_INSTALLED = [name for name in PACKAGES if find_spec(name)]


def run(
    arguments: Sequence[str], variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """As :func:`support.fresh.run`; the arguments are ``-c`` and code, or a file, and more."""
    assert arguments[0] == "-c" or not arguments[0].startswith("-"), "flags need support.fresh"
    with tempfile.TemporaryDirectory() as elsewhere:
        directory, stdout, stderr = (Path(elsewhere, name) for name in ("empty", "out", "err"))
        directory.mkdir()
        status = _warm_interpreter().answer(
            arguments=list(arguments),
            environment=fresh.environment(variables),
            directory=str(directory),
            stdout=str(stdout),
            stderr=str(stderr),
        )
        return subprocess.CompletedProcess(
            arguments, os.waitstatus_to_exitcode(status), stdout.read_text(), stderr.read_text()
        )


def output(code: str, variables: Mapping[str, str] | None = None) -> str:
    """As :func:`support.fresh.output`."""
    return fresh.printed(run(["-c", code], variables))


def value(code: str, variables: Mapping[str, str] | None = None) -> Any:
    """As :func:`support.fresh.value`."""
    return json.loads(output(f"{code}\n{fresh.PRINTING}", variables).splitlines()[-1])


def error(code: str, variables: Mapping[str, str] | None = None) -> str:
    """As :func:`support.fresh.error`."""
    return fresh.raised(run(["-c", code], variables))


class _Interpreter:
    """One of :mod:`support.warm`; it has one child at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.warm", *_INSTALLED],
            env=fresh.environment(),
            cwd=TESTS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        atexit.register(self._process.communicate)

    def answer(self, **request: Any) -> int:
        """The wait status of a child that was asked for."""
        pipe_in, pipe_out = self._process.stdin, self._process.stdout
        assert pipe_in is not None
        assert pipe_out is not None
        pipe_in.write(f"{json.dumps(request)}\n")
        pipe_in.flush()
        if not select.select([pipe_out], [], [], fresh.PATIENCE)[0]:
            os.killpg(self._process.pid, signal.SIGKILL)
            _warm_interpreter.cache_clear()
            raise subprocess.TimeoutExpired(request["arguments"], fresh.PATIENCE)
        return int(pipe_out.readline())


@lru_cache(maxsize=1)
def _warm_interpreter() -> _Interpreter:
    return _Interpreter()
