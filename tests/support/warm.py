"""The interpreter of :mod:`support.forked`: it imports what the SDK needs, and then has children.

Each line of standard input is a request; when the child has ended, its wait status is answered.

With ``--imported`` before the packages, it imports these themselves, as its variables say.

A child leaves its modules as they are when it ends: to take them apart, as an interpreter does, it
would have to copy almost every page that it shares with its parent.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import site
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from support.children import IMPORT_ALL_ELSE


def serve(packages: list[str], imported: bool) -> Callable[[], None] | None:
    """Returns in a child: the program that it is to run, as if it were the only one; and in the
    end, then without one."""
    if imported:
        for name in packages:
            importlib.import_module(name)
    else:
        namespace: dict[str, Any] = {}
        exec(IMPORT_ALL_ELSE, namespace)
        namespace["import_all_else"](packages)
    # Nothing that a child has to look through.
    gc.freeze()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            program = _become(**json.loads(line))
            if not imported:
                site.addpackage(sysconfig.get_path("purelib"), "kruise_autopatch.pth", set())
            return program
        _, status = os.waitpid(pid, 0)
        print(status, flush=True)
    return None


def _become(
    arguments: list[str],
    environment: dict[str, str],
    directory: str,
    stdout: str,
    stderr: str,
) -> Callable[[], None]:
    """Be a fresh interpreter as far as one can."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for descriptor, path in ((1, stdout), (2, stderr)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)

    first = arguments[0]
    code, name = (arguments[1], "<string>") if first == "-c" else (Path(first).read_text(), first)
    sys.argv = ["-c", *arguments[2:]] if first == "-c" else arguments
    sys.path[:1] = [
        "" if first == "-c" else str(Path(first).parent),
        *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)),
    ]
    main = ModuleType("__main__")
    if first != "-c":
        main.__file__ = first
    sys.modules["__main__"] = main

    def program() -> None:
        exec(compile(code, name, "exec"), vars(main))

    return program


class _End:
    """How a child ends: as an interpreter does, up to the last of its ``atexit`` handlers."""

    def __init__(self) -> None:
        self._status: int | None = None
        # The first that is registered is called last.
        atexit.register(self._leave)

    def run(self, program: Callable[[], None]) -> None:
        try:
            program()
        except SystemExit as leaving:
            code = leaving.code
            self._status = code if isinstance(code, int) else int(code is not None)
            raise
        except Exception:
            self._status = 1
            raise
        self._status = 0

    def _leave(self) -> None:
        if self._status is None:
            return
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(self._status & 0xFF)


if __name__ == "__main__":
    _end = _End()
    _packages = [name for name in sys.argv[1:] if name != "--imported"]
    _program = serve(_packages, imported=_packages != sys.argv[1:])
    if _program is not None:
        _end.run(_program)
