"""Another process of this interpreter, started as this one was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import kruise_autopatch

# Seconds; to import an SDK on a cold disk takes a few.
_PATIENCE = 120

# The current directory, which -c puts first, is not where an application's modules are.
_BEGIN = """
import sys
if sys.path[:1] == [""]:
    del sys.path[0]
"""


class ChildFailed(Exception):
    """The process did not answer; the message is the last line of its error output."""


def package_root() -> str:
    """The directory that holds this package; a file, if that is a zip archive."""
    (directory,) = kruise_autopatch.__path__
    return os.path.dirname(os.path.abspath(directory))


def ask(code: str, environment: Mapping[str, str], *arguments: str) -> tuple[Any, str]:
    """The JSON that ``code`` prints as its last line, and the error output.

    :raises ChildFailed: it printed none
    """
    command = [sys.executable, *_flags(), "-c", _BEGIN + code, *arguments]
    try:
        done = subprocess.run(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ChildFailed(str(error)) from error
    try:
        return json.loads(done.stdout.strip().splitlines()[-1]), done.stderr
    except (IndexError, ValueError):
        raise ChildFailed(last_line(done.stderr) or f"exit status {done.returncode}") from None


def last_line(text: str) -> str:
    """The last line that is not empty, of a traceback for example."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def _flags() -> list[str]:
    """The options of this interpreter that decide what it finds."""
    if sys.flags.isolated:
        return ["-I", *(["-S"] if sys.flags.no_site else [])]
    options = {
        "-E": sys.flags.ignore_environment,
        "-s": sys.flags.no_user_site,
        "-S": sys.flags.no_site,
    }
    return [option for option, is_set in options.items() if is_set]
