"""Throw-away Python environments, what is installed into them, and what their interpreters say.

Nothing here needs a network: the SDK and the other dependencies are copied from the environment
that runs the tests, once per session, and put on each environment's path.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import Distribution, distribution
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import uv as uv_package
from packaging.requirements import Requirement

from support import fresh

OURS = "kruise-autopatch"
LOCAL = "kruise-autopatch-local"

ON = {"KRUISE_E2B_PATCH": "1", "KRUISE_E2B_HTTPS": "0", "E2B_DOMAIN": "kruise.test"}
OFF = {"E2B_DOMAIN": "kruise.test"}

PRIVATE_URL = "http://kruise.test/kruise/api"
NATIVE_URL = "https://api.kruise.test"

PRINT_API_URL = """
from e2b import ConnectionConfig
print(ConnectionConfig(api_key="e2b_00").api_url)
"""

# `json` is imported last, because it must not be among the modules that start-up loaded.
_PRINT_START_UP = """
import sys
modules = sorted(sys.modules)
finders = [getattr(finder, "__name__", "") for finder in sys.meta_path]
import json
print(json.dumps({"modules": modules, "finders": finders}))
"""

# Installers obey these; the settings of whoever runs the tests are dropped.
_INSTALLER_SETTINGS = {
    "PIP_BREAK_SYSTEM_PACKAGES": "1",
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_CACHE_DIR": "1",
    "PIP_NO_INDEX": "1",
    "PIP_ROOT_USER_ACTION": "ignore",
    "UV_LINK_MODE": "copy",
    "UV_NO_CACHE": "1",
    "UV_NO_CONFIG": "1",
    "UV_OFFLINE": "1",
}
_FOREIGN_SETTINGS = ("PIP_", "UV_", "SETUPTOOLS_", "VIRTUAL_ENV")


@dataclass(frozen=True)
class StartUp:
    """What an interpreter holds before the first line of the user's program."""

    modules: frozenset[str]
    finders: tuple[str, ...]

    @property
    def sdk_finders(self) -> int:
        return self.finders.count("kruise_autopatch")

    @property
    def our_modules(self) -> set[str]:
        return {name for name in self.modules if name.partition(".")[0] == "kruise_autopatch"}


@dataclass(frozen=True)
class Environment:
    """An interpreter, and the directory below which everything is that is installed for it."""

    python: Path
    root: Path
    site_packages: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def run(self, *arguments: str | Path, variables: Mapping[str, str] | None = None) -> str:
        """What ``python ARGUMENTS`` prints; on the error output it may print nothing."""
        return self.execute([self.python, *arguments], variables)

    def execute(
        self, command: Iterable[str | Path], variables: Mapping[str, str] | None = None
    ) -> str:
        """What ``command`` prints, run outside the checkout as :meth:`run` does."""
        done = _run(command, {**self.variables, **(variables or {})}, self.root)
        assert done.stderr == ""
        return done.stdout.strip()

    def attempt(
        self,
        *arguments: str | Path,
        variables: Mapping[str, str] | None = None,
        before: Callable[[], None] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """``python ARGUMENTS``, whatever becomes of it; ``before`` is called in the new process."""
        command = [self.python, *arguments]
        return _attempt(command, {**self.variables, **(variables or {})}, self.root, before)

    def start_up(self, variables: Mapping[str, str], *flags: str) -> StartUp:
        found: Any = json.loads(self.run(*flags, "-c", _PRINT_START_UP, variables=variables))
        return StartUp(frozenset(found["modules"]), tuple(found["finders"]))

    def api_url(self, variables: Mapping[str, str], *flags: str) -> str:
        """Where the SDK would send its requests."""
        return self.run(*flags, "-c", PRINT_API_URL, variables=variables)

    def install(self, tool: str, *what: str | Path) -> None:
        TOOLS[tool](self, "install", *what)

    def uninstall(self, tool: str, name: str = OURS) -> None:
        TOOLS[tool](self, "uninstall", name)

    def snapshot(self) -> dict[str, bytes]:
        """Every file and directory below the root, and each file's content."""
        return {
            path.relative_to(self.root).as_posix(): _content(path)
            for path in self.root.rglob("*")
            if path != self.root / ".lock"  # uv's own, and not about any package
        }


def base_interpreter() -> Path:
    """The interpreter below the virtual environment that runs the tests, if it is one."""
    if os.name == "nt":
        return Path(sys.base_prefix, "python.exe")
    return Path(sys.base_prefix, "bin", "python{}.{}".format(*sys.version_info))


def virtual_environment(root: Path, libraries: Path) -> Environment:
    """A new virtual environment that can also import ``libraries``."""
    _run([base_interpreter(), "-m", "venv", "--without-pip", root], {}, root.parent)
    return existing_environment(root, libraries)


def existing_environment(root: Path, libraries: Path) -> Environment:
    """A virtual environment that somebody else has made, which gets to import ``libraries``."""
    python = root / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site_packages = Path(_run([python, "-c", where], {}, root).stdout.strip())
    return _with_libraries(Environment(python, root, site_packages), libraries)


def user_environment(root: Path, libraries: Path) -> Environment:
    """The interpreter below the tests' own environment, with ``root`` as its user base.

    ``pip install --user`` is refused in a virtual environment.
    """
    python = base_interpreter()
    variables = {"PYTHONUSERBASE": str(root)}
    where = "import site; print(site.getusersitepackages())"
    site_packages = Path(_run([python, "-c", where], variables, root).stdout.strip())
    site_packages.mkdir(parents=True)
    return _with_libraries(Environment(python, root, site_packages, variables), libraries)


def copy_libraries(
    target: Path, extra: str = "e2b", others: Iterable[str] = ("pip", "setuptools", "wheel")
) -> None:
    """Copy what our package needs with ``extra``, and others, from the running environment.

    Neither of our own distributions is copied.
    """
    for library in _closure({OURS: set(extra.split(",")), **{name: set() for name in others}}):
        for file in distribution(library).files or ():
            # virtualenv's seeds record byte code, and its directories; others only write it.
            byte_code = file.suffix == ".pyc" or file.name == "__pycache__"
            if library in (OURS, LOCAL) or ".." in file.parts or byte_code:
                continue
            found = Path(str(file.locate()))
            copy = target / file
            _copy(found, copy)
            if file.suffix == ".py":
                # Without it, pip and the SDK would be compiled again by every process.
                compiled = Path(cache_from_source(str(found)))
                if compiled.exists():
                    _copy(compiled, copy.parent / "__pycache__" / compiled.name)


def _copy(file: Path, to: Path) -> None:
    """With its time, by which Python knows whether byte code is of this source."""
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(file, to)


def build(
    hook: str,
    source: Path,
    target: Path,
    variables: Mapping[str, str] | None = None,
    umask: int = -1,
) -> Path:
    """What setuptools' build hook makes of ``source``, as a file in ``target``."""
    calling = "import sys; from setuptools import build_meta as backend; "
    calling += f"print(backend.{hook}(sys.argv[1]))"
    # Isolated, as in an installer: the backend must not count on the current directory.
    done = _run([sys.executable, "-I", "-c", calling, target], variables or {}, source, umask)
    return target / done.stdout.splitlines()[-1]


def unpack(sdist: Path, directory: Path) -> Path:
    """The source tree in ``sdist``."""
    with tarfile.open(sdist) as archive:
        # The safe way where it exists: Python 3.12 and 3.13 warn about any other.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(directory)
    (source,) = directory.iterdir()
    return source


def _pip(environment: Environment, verb: str, *what: str | Path) -> None:
    options = ["--no-build-isolation"] if verb == "install" else ["--yes"]
    command = [environment.python, "-m", "pip", verb, *options, *what]
    _run(command, environment.variables, environment.root)


def _uv(environment: Environment, verb: str, *what: str | Path) -> None:
    # Unlike pip, uv does not see that `libraries` fulfils the dependencies.
    options = ["--no-build-isolation", "--no-deps", "--no-index"] if verb == "install" else []
    tool = uv_package.find_uv_bin()
    command = [tool, "pip", verb, "--python", environment.python, *options, *what]
    _run(command, environment.variables, environment.root)


TOOLS = {"pip": _pip, "uv": _uv}
SOURCES = ["wheel", "sdist", "editable"]
# ("pip", "wheel"), ("pip", "sdist"), ...
WAYS = list(itertools.product(TOOLS, SOURCES))
# What to write after ``install``, by source.
Sources = dict[str, Callable[[], list[str]]]


def assert_hook_works(environment: Environment, *flags: str) -> None:
    """With the switch on, and only then."""
    on, off = environment.start_up(ON, *flags), environment.start_up(OFF, *flags)
    assert (on.sdk_finders, off.sdk_finders) == (1, 0)
    # So wrapt, threading, logging, importlib.util, typing and re wait until e2b is imported.
    assert on.modules - off.modules == on.our_modules
    assert off.our_modules == set()
    assert environment.api_url(ON, *flags) == PRIVATE_URL
    assert environment.api_url(OFF, *flags) == NATIVE_URL


def _run(
    command: Iterable[str | Path],
    variables: Mapping[str, str],
    directory: Path,
    umask: int = -1,
) -> subprocess.CompletedProcess[str]:
    done = _attempt(command, variables, directory, umask=umask)
    assert done.returncode == 0, f"{done.args}\n{done.stdout}{done.stderr}"
    return done


def _attempt(
    command: Iterable[str | Path],
    variables: Mapping[str, str],
    directory: Path,
    before: Callable[[], None] | None = None,
    umask: int = -1,
) -> subprocess.CompletedProcess[str]:
    inherited = fresh.environment({**_INSTALLER_SETTINGS, **variables})
    return subprocess.run(
        [str(part) for part in command],
        env={
            name: value
            for name, value in inherited.items()
            if name in _INSTALLER_SETTINGS or not name.startswith(_FOREIGN_SETTINGS)
        },
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=fresh.PATIENCE,
        check=False,
        umask=umask,
        preexec_fn=before,
    )


def without_byte_code_of_setuptools(snapshot: dict[str, bytes]) -> dict[str, bytes]:
    """Forgive uv the byte code of the modules that setuptools' editable installations add.

    uv removes the byte code of packages, but not that of a module in site-packages itself.
    Without its source, Python never reads it.
    """
    byte_code = "/__pycache__/__editable___kruise_autopatch_"
    left = {name: content for name, content in snapshot.items() if byte_code not in name}
    return {
        name: content
        for name, content in left.items()
        if not (name.endswith("/site-packages/__pycache__") and len(left) < len(snapshot))
    }


def _with_libraries(environment: Environment, libraries: Path) -> Environment:
    # A directory that a .pth file adds is not searched for .pth files itself. The name sorts
    # after ours, so nothing but our own package can be imported when our line is run.
    (environment.site_packages / "zz_libraries.pth").write_text(f"{libraries}\n", "utf-8")
    return environment


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() and not path.is_symlink() else b""


def _closure(roots: Mapping[str, set[str]]) -> set[str]:
    """The distributions named in ``roots``, with these extras, and all that they require."""
    waiting = dict(roots)
    found: set[str] = set()
    while waiting:
        name, extras = waiting.popitem()
        found.add(name)
        for requirement in _requirements(distribution(name), extras):
            if requirement.name not in found:
                waiting.setdefault(requirement.name, set()).update(requirement.extras)
    return found


def _requirements(library: Distribution, extras: set[str]) -> Iterator[Requirement]:
    for text in library.requires or ():
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in {"", *extras}):
            yield requirement
