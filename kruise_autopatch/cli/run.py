"""``kruise-autopatch run``: start a program with the hook, where no ``.pth`` file is processed."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

import kruise_autopatch
from kruise_autopatch import settings

# The directory whose sitecustomize.py is the hook.
INJECTED = os.path.join(os.path.abspath(*kruise_autopatch.__path__), "injected")


class CannotRun(Exception):
    """The program could not be started; the message says why and what to do."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        # 126 and 127, as env(1) has them.
        self.status = status


def environment(
    inherited: Mapping[str, str], *, https: bool | None = None, domain: str | None = None
) -> dict[str, str]:
    """``inherited`` with what switches the private protocol on in a program and its children.

    :param https: ``None`` leaves ``KRUISE_E2B_HTTPS`` as it is
    :param domain: ``None`` leaves ``E2B_DOMAIN`` as it is
    :raises ConfigurationError: ``domain`` is no host
    """
    changed = dict(inherited)
    # A 0 stays: whoever deploys the program can still switch this off.
    changed[settings.PATCH.name] = inherited.get(settings.PATCH.name) or "1"
    if https is not None:
        changed[settings.HTTPS.name] = "1" if https else "0"
    if domain is not None:
        changed["E2B_DOMAIN"] = settings.checked_domain(domain, "--domain")
    path = inherited.get("PYTHONPATH", "")
    if path.split(os.pathsep)[0] != INJECTED:
        path = os.pathsep.join([INJECTED, path] if path else [INJECTED])
    changed["PYTHONPATH"] = path
    return changed


def run(command: Sequence[str], variables: Mapping[str, str]) -> NoReturn:
    """Become ``command``. Raises :class:`CannotRun`."""
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        if os.name == "posix":
            _restore_signals()
            os.execvpe(command[0], list(command), dict(variables))
        # Elsewhere exec would return to the shell before the program has ended.
        sys.exit(subprocess.call(list(command), env=dict(variables)))
    except OSError as error:
        raise _explained(command[0], error) from error


def _restore_signals() -> None:
    """Undo what Python has ignored for itself: what is ignored stays so in the program."""
    for name in ("SIGPIPE", "SIGXFSZ"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)


def _explained(program: str, error: OSError) -> CannotRun:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        where = "" if os.path.dirname(program) else " on PATH"
        advice = f"; write: python {program}" if program.endswith(".py") else ""
        return CannotRun(f"there is no program '{program}'{where}{advice}", 127)
    if error.errno in (errno.EACCES, errno.ENOEXEC) and program.endswith(".py"):
        return CannotRun(f"'{program}' is no program; write: python {program}", 126)
    return CannotRun(f"'{program}' cannot be run: {error.strerror}", 126)
