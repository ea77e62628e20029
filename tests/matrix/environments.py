"""Building what the matrix runs in: our wheel, and an environment for it beside the SDK."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import kruise_autopatch_local
from matrix.releases import Environment
from support.checkout import TESTS, copy_to

PROGRAM = TESTS / "surfaces" / "conversation.py"


class BuildError(RuntimeError):
    """uv could not do it; the message is its own."""


def build_wheel(directory: Path) -> Path:
    """The wheel of a copy of the checkout, which stays as it is."""
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / "checkout"
        copy_to(copy)
        shutil.rmtree(directory, ignore_errors=True)
        _uv("build", "--wheel", "--out-dir", str(directory), str(copy))
    (wheel,) = directory.glob("*.whl")
    return wheel


def digest(wheel: Path) -> str:
    """Of what takes part: the wheel, the program and the server. Other results do not count."""
    found = hashlib.sha256()
    for module in (
        *("conversation", "crowds", "limited", "proxied", "proxies", "seldom", "steps"),
        *("streaming", "../support/native", "../tokens/redirected", "../tokens/redirects"),
    ):
        found.update((PROGRAM.parent / f"{module}.py").read_bytes())
    server = Path(kruise_autopatch_local.__file__).parent
    for source in sorted(server.rglob("*.py")):
        found.update(source.relative_to(server).as_posix().encode() + b"\0" + source.read_bytes())
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            found.update(name.encode() + b"\0" + archive.read(name))
    return found.hexdigest()[:12]


def create(environment: Environment, wheel: Path, interpreter: str, directory: Path) -> Path:
    """An environment with the SDK and our wheel alone; returns its interpreter."""
    shutil.rmtree(directory, ignore_errors=True)
    _uv("venv", "--python", interpreter, str(directory))
    python = directory / "bin" / "python"
    _install(python, str(wheel), *environment.requirements)
    return python


def create_with(
    requirements: Sequence[str], whatever_others_say: Sequence[str], wheel: Path, directory: Path
) -> Path:
    """The same with this Python and any requirements; returns the environment's interpreter.

    :param whatever_others_say: those that are taken in spite of what other packages require
    """
    shutil.rmtree(directory, ignore_errors=True)
    _uv("venv", "--python", sys.executable, str(directory))
    python = directory / "bin" / "python"
    overrides = directory / "overrides.txt"
    overrides.write_text("".join(f"{_by_name(text)}\n" for text in whatever_others_say))
    _install(python, "--overrides", str(overrides), str(wheel), *map(_by_name, requirements))
    return python


def _install(python: Path, *arguments: str) -> None:
    """With byte code: some twenty programs run there, and write none."""
    _uv("pip", "install", "--python", str(python), "--compile-bytecode", *arguments)


def _by_name(requirement: str) -> str:
    """A path as a requirement of e2b; anything else as it is."""
    path = Path(requirement)
    return f"e2b @ {path.resolve().as_uri()}" if path.exists() else requirement


def packages(python: Path) -> list[str]:
    return _uv("pip", "freeze", "--python", str(python)).splitlines()


def _uv(*arguments: str) -> str:
    variables = {name: v for name, v in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(
        [sys.executable, "-m", "uv", *arguments],
        env={**variables, "UV_PYTHON_DOWNLOADS": "never"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BuildError(f"uv {' '.join(arguments)}:\n{done.stderr.strip()}")
    return done.stdout
