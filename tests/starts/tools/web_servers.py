"""Servers that a test starts, asks, and stops."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from support import fresh
from support.programs import ON


@contextlib.contextmanager
def running(*arguments: str, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """``python ARGUMENTS`` in ``directory``, and every process that it starts, until the end."""
    log = directory / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env=fresh.environment({**ON, "PYTHONPATH": str(directory)}),
            cwd=directory,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    except BaseException:
        print(log.read_text())
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(fresh.PATIENCE)


def eventually(condition: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    """Wait until ``condition`` holds, or ``process`` has ended."""
    end = time.monotonic() + fresh.PATIENCE
    while not condition():
        assert process.poll() is None, "the server has ended"
        assert time.monotonic() < end, "no sign of the server"
        time.sleep(0.05)


def get(port: int) -> str:
    """The body of ``/``, or nothing if nobody answers yet."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/", timeout=fresh.PATIENCE) as response:
            body: bytes = response.read()
            return body.decode()
    except OSError:
        return ""
