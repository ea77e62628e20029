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
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kruise_autopatch import PACKAGES
from support import fresh
from support.checkout import TESTS

_INSTALLED = [name for name in PACKAGES if find_spec(name)]


class Children:
    """Of warm interpreters, in each process that runs tests."""

    def __init__(self, *options: str) -> None:
        """
        :param options: see :mod:`support.warm`
        """
        self._options = options
        # By the variables that they have started with; a test's own come later.
        self._warm: dict[frozenset[tuple[str, str]], _Interpreter] = {}

    def run(
        self, arguments: Sequence[str], variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """As :func:`support.fresh.run`; the arguments are ``-c`` and code, or a file, and more."""
        assert arguments[0] == "-c" or not arguments[0].startswith("-"), "flags need support.fresh"
        with tempfile.TemporaryDirectory() as elsewhere:
            directory, stdout, stderr = (Path(elsewhere, name) for name in ("empty", "out", "err"))
            directory.mkdir()
            status = self._answer(
                self._needed(variables or {}),
                arguments=list(arguments),
                environment=fresh.environment(variables),
                directory=str(directory),
                stdout=str(stdout),
                stderr=str(stderr),
            )
            return subprocess.CompletedProcess(
                arguments, os.waitstatus_to_exitcode(status), stdout.read_text(), stderr.read_text()
            )

    def output(self, code: str, variables: Mapping[str, str] | None = None) -> str:
        """As :func:`support.fresh.output`."""
        return fresh.printed(self.run(["-c", code], variables))

    def value(self, code: str, variables: Mapping[str, str] | None = None) -> Any:
        """As :func:`support.fresh.value`."""
        return json.loads(self.output(f"{code}\n{fresh.PRINTING}", variables).splitlines()[-1])

    def error(self, code: str, variables: Mapping[str, str] | None = None) -> str:
        """As :func:`support.fresh.error`."""
        return fresh.raised(self.run(["-c", code], variables))

    def _needed(self, variables: Mapping[str, str]) -> Mapping[str, str]:
        """Those of a test's variables that a warm interpreter has to start with."""
        return {}

    def _answer(self, needed: Mapping[str, str], **request: Any) -> int:
        settings = frozenset(needed.items())
        if settings not in self._warm:
            self._warm[settings] = _Interpreter(needed, self._options)
        try:
            return self._warm[settings].answer(**request)
        except subprocess.TimeoutExpired:
            del self._warm[settings]
            raise


class _Patched(Children):
    """Those that find the SDK imported and patched: a tenth of the time again.

    For what does not depend on the import. Our own variables are there when the SDK is imported,
    which is when they are read; there is a warm interpreter for each set of them.
    """

    def _needed(self, variables: Mapping[str, str]) -> Mapping[str, str]:
        ours = {name: v for name, v in variables.items() if name.startswith("KRUISE_")}
        return {"E2B_DOMAIN": "kruise.test", **ours}


class _Interpreter:
    """One of :mod:`support.warm`; it has one child at a time."""

    def __init__(self, variables: Mapping[str, str], options: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.warm", *options, *_INSTALLED],
            env=fresh.environment(variables),
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
            raise subprocess.TimeoutExpired(request["arguments"], fresh.PATIENCE)
        return int(pipe_out.readline())


_plain = Children()
run, output, value, error = _plain.run, _plain.output, _plain.value, _plain.error
patched = _Patched("--imported")
# With the SDK as it is; the start-up file is not read.
native = Children("--imported")
