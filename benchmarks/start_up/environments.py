"""Interpreters, and equal virtual environments that differ only in what is measured."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from start_up.cases import OURS, RECIPES, Case, Recipe

CHECKOUT = Path(__file__).resolve().parent.parent.parent

_OLDEST = (3, 9)
# The names of the directories are equally long, so that all paths are.
_NAME_WIDTH = max(map(len, RECIPES))


class Failed(Exception):
    """A command failed; the message holds all that it said."""


class LeftOut(Exception):
    """Something cannot be measured on this Python; the message says why, in a line."""


def run(
    *command: object, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"{' '.join(words)}\nfailed:\n{done.stdout}{done.stderr}")
    return done


def note(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


# --- interpreters -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Interpreter:
    """A Python that is installed here, outside any virtual environment."""

    path: Path
    version: str
    reads_start_files: bool

    @property
    def series(self) -> str:
        return ".".join(self.version.split(".")[:2])


_ASK = """
import os, platform, site, sys
print(os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable))
print(platform.python_version())
print(hasattr(site, "StartupState"))
"""


def interpreters(wanted: Sequence[str] = ()) -> list[Interpreter]:
    """One of each series, this one first, then those of pyenv and of ``PATH``."""
    found: dict[str, Interpreter] = {}
    for candidate in _candidates():
        if candidate.name.replace("python", "") in found:
            continue  # pyenv's shims are slow
        interpreter = _ask(candidate)
        if interpreter is not None:
            found.setdefault(interpreter.series, interpreter)
    unknown = set(wanted) - set(found)
    if unknown:
        here = ", ".join(sorted(found, key=_order))
        raise LeftOut(f"no Python {', '.join(sorted(unknown))} here; there is {here}")
    return [found[series] for series in sorted(wanted or found, key=_order)]


def _candidates() -> Iterator[Path]:
    yield Path(sys.executable)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    yield from sorted(pyenv.glob("3.*/bin/python"))
    for directory in os.environ.get("PATH", "").split(os.pathsep):
        yield from sorted(Path(directory).glob("python3.*[0-9]"))


def _ask(python: Path) -> Interpreter | None:
    """What it says of itself; ``None`` if it does not run (as pyenv's shims) or is too old."""
    try:
        path, version, reads = run(python, "-I", "-c", _ASK).stdout.splitlines()
    except (Failed, OSError, ValueError):
        return None
    interpreter = Interpreter(Path(path), version, reads == "True")
    return interpreter if _order(interpreter.series) >= _OLDEST else None


def _order(series: str) -> tuple[int, ...]:
    return tuple(int(number) for number in series.split("."))


# --- environments -------------------------------------------------------------------------------


def build_wheel(root: Path) -> Path:
    """Build in a copy, because setuptools leaves its litter beside the sources."""
    note("wheel")
    copy, dist = root / "copy", root / "dist"
    litter = shutil.ignore_patterns(".*", "__pycache__", "build", "*.egg-info")
    shutil.copytree(CHECKOUT, copy, ignore=litter)
    if uv := shutil.which("uv"):
        run(uv, "build", "--wheel", "--out-dir", dist, copy)
    else:
        run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", dist, copy)
    (wheel,) = dist.glob("*.whl")
    return wheel


_SDK = ("e2b", "e2b-code-interpreter", "wrapt")
_VERSIONS = """
import importlib.metadata, sys
for name in sys.argv[1:]:
    print(name, importlib.metadata.version(name))
"""


class Site:
    """The virtual environments of one interpreter."""

    def __init__(self, root: Path, interpreter: Interpreter, wheel: Path) -> None:
        self.root = root
        self.interpreter = interpreter
        self.desk = root / "desk"  # an empty working directory
        self.desk.mkdir(parents=True)
        self._wheel = wheel
        self._uv = shutil.which("uv")
        self._made: dict[str, LeftOut | None] = {}

    def prepare(self, case: Case) -> None:
        """See to it that the case can run; raises :class:`LeftOut` if it cannot."""
        if case.start_files and not self.interpreter.reads_start_files:
            raise LeftOut("this Python reads no .start files")
        name = case.environment
        if name not in self._made:
            note(f"{self.interpreter.series}: environment {name}")
            try:
                self._make(name, RECIPES[name])
                self._made[name] = None
            except LeftOut as reason:
                self._made[name] = reason
        failure = self._made[name]
        if failure is not None:
            raise failure

    def directory(self, environment: str) -> Path:
        return self.root / environment.ljust(_NAME_WIDTH, "_")

    def program(self, environment: str, name: str = "python") -> Path:
        return self.directory(environment) / "bin" / name

    def packages(self, environment: str) -> Path:
        (packages,) = self.directory(environment).glob("lib/python3*/site-packages")
        return packages

    def versions(self) -> str:
        """The releases that were installed."""
        found: set[str] = set()
        for recipe, name in {recipe.requirement: name for name, recipe in RECIPES.items()}.items():
            if self._made.get(name, LeftOut()) is None:
                names = _SDK if recipe == OURS else [recipe]
                found.update(run(self.program(name), "-c", _VERSIONS, *names).stdout.splitlines())
        return ", ".join(sorted(found))

    def _make(self, name: str, recipe: Recipe) -> None:
        # Not with ``uv venv``: its environments have a start-up file of their own.
        run(self.interpreter.path, "-m", "venv", "--without-pip", self.directory(name))
        requirement = recipe.requirement.format(wheel=self._wheel)
        try:
            # A release that would have to be compiled gives way to an older one.
            compiled = ["--compile-bytecode"] if self._uv else []
            self._pip(name, "install", *compiled, "--only-binary", ":all:", requirement)
        except Failed as failure:
            if recipe.requirement == OURS:
                raise
            said = str(failure).strip().splitlines()[-1].strip()
            raise LeftOut(f"{requirement} cannot be installed: {said}") from failure
        packages = self.packages(name)
        if not any(packages.glob(recipe.needs)):
            raise LeftOut(
                f"the release of {requirement} for this Python has no file {recipe.needs}"
            )
        if not recipe.ours:
            self._pip(name, "uninstall", *([] if self._uv else ["-y"]), "kruise-autopatch")
        for file, content in recipe.files.items():
            # uv's files are links to its cache: they must not be written to.
            (packages / file).unlink(missing_ok=True)
            if content is not None:
                (packages / file).write_text(content)
        if not recipe.byte_code:
            for cache in (packages / "kruise_autopatch").rglob("__pycache__"):
                shutil.rmtree(cache)

    def _pip(self, name: str, command: str, *arguments: str) -> None:
        python = self.program(name)
        if self._uv:
            run(self._uv, "pip", command, "--python", python, *arguments)
        else:
            run(sys.executable, "-m", "pip", "--python", python, command, *arguments)
