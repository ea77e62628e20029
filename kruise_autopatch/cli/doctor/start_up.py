"""The doctor on start-up: which interpreter, and whether it runs our hook."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import site
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from kruise_autopatch.cli.doctor.child import ChildFailed, ask, last_line, package_root
from kruise_autopatch.cli.doctor.findings import Finding, found
from kruise_autopatch.cli.run import INJECTED

if sys.version_info >= (3, 10):
    from importlib import metadata
else:
    import importlib_metadata as metadata

_PACKAGE = "kruise_autopatch"
START_UP_FILE = f"{_PACKAGE}.pth"
# What is shipped, to the byte.
START_UP_LINE = (
    'import os; os.environ.get("KRUISE_E2B_PATCH") and __import__("kruise_autopatch").start()\n'
)

_RUNS_HOOK = (
    "import json; finders = [getattr(finder, '__name__', '') for finder in sys.meta_path];"
    f" print(json.dumps({_PACKAGE!r} in finders))"
)


def check(environment: Mapping[str, str]) -> Iterator[Finding]:
    """The interpreter, its directories, the start-up file, and whether it is processed."""
    yield from _check_interpreter(environment)
    directories = site_directories()
    root = package_root()
    yield _describe_package(root, directories)
    yield from _other_copies(root, directories)
    yield from _check_file(directories, root)
    yield _check_hook(environment, root, directories)


def _check_interpreter(environment: Mapping[str, str]) -> Iterator[Finding]:
    yield found(
        "interpreter",
        "interpreter",
        implementation=platform.python_implementation(),
        version=platform.python_version(),
        executable=sys.executable,
    )
    active = environment.get("VIRTUAL_ENV")
    if active and not _same(active, sys.prefix):
        check, code = "virtual-environment", "other-environment-active"
        yield found(check, code, active=active, prefix=sys.prefix)


def _describe_package(root: str, directories: Sequence[str]) -> Finding:
    is_there = any(_same(root, directory) for directory in directories)
    code = "package-installed" if is_there else "package-elsewhere"
    listed = ", ".join(directories) or "none"
    return _found_copy("site-packages", code, root, listed=listed)


def _other_copies(root: str, directories: Sequence[str]) -> Iterator[Finding]:
    """Copies of this package that are hidden by the one that runs."""
    for directory in dict.fromkeys(map(os.path.realpath, filter(None, [*sys.path, *directories]))):
        is_other = not _same(directory, root)
        if is_other and os.path.isfile(os.path.join(directory, _PACKAGE, "__init__.py")):
            yield _found_copy("site-packages:other", "package-twice", directory)


def _found_copy(check: str, code: str, root: str, **facts: str) -> Finding:
    release = _release_in(root) or "(release unknown)"
    details = [f"kruise-autopatch {release}: {root}"]
    return found(check, code, release=release, root=root, **facts, details=details)


def _release_in(root: str) -> str | None:
    """The release of a copy, as its own file says, even of one by hand; else its metadata."""
    with contextlib.suppress(OSError):
        text = Path(root, _PACKAGE, "_version.py").read_text("utf-8", "replace")
        written = re.search(r'^__version__ = "(.+)"', text, re.MULTILINE)
        if written:
            return written[1]
    installed = metadata.distributions(name="kruise-autopatch", path=[root])
    return next((each.version for each in installed), None)


def site_directories() -> list[str]:
    """The directories in which this interpreter looks for start-up files."""
    if sys.flags.no_site:
        return []
    directories = list(site.getsitepackages())
    if site.ENABLE_USER_SITE:
        directories.insert(0, site.getusersitepackages())
    return [directory for directory in directories if os.path.isdir(directory)]


def _is_injected(environment: Mapping[str, str]) -> bool:
    """Whether our ``sitecustomize`` is on PYTHONPATH, as below ``kruise-autopatch run``."""
    entries = environment.get("PYTHONPATH", "").split(os.pathsep)
    return not sys.flags.ignore_environment and any(map(_is_injection, entries))


def _is_injection(entry: str) -> bool:
    tail = os.path.join("kruise_autopatch", "injected")
    return entry == INJECTED or os.path.normpath(entry).endswith(tail)


def _check_file(directories: Sequence[str], root: str) -> Iterator[Finding]:
    name = START_UP_FILE
    paths = [path for path in (Path(d, name) for d in directories) if path.is_file()]
    for path in paths:
        is_intact = _content(path) == START_UP_LINE
        yield found(
            name, "start-up-file-intact" if is_intact else "start-up-file-changed", path=path
        )
    if paths:
        return
    # Whether that matters is for the check of the hook to say.
    elsewhere = Path(root, name)
    if elsewhere.is_file():
        yield found(name, "start-up-file-elsewhere", path=elsewhere)
    else:
        yield found(name, "start-up-file-missing", name=name)


def _content(path: Path) -> str | None:
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return None


def _check_hook(environment: Mapping[str, str], root: str, directories: Sequence[str]) -> Finding:
    on = {**environment, "KRUISE_E2B_PATCH": "1"}
    try:
        runs, errors = ask(_RUNS_HOOK, on)
    except ChildFailed as error:
        return found("hook", "interpreter-fails", reason=error)
    if runs:
        return found("hook", "hook-runs-injected" if _is_injected(environment) else "hook-runs")
    if errors.strip():
        return found("hook", "hook-fails", reason=last_line(errors))
    place = _Place(environment, root, directories)
    code = next(code for applies, code in _WHY_NOT if applies(place))
    return found("hook", code, root=root, name=START_UP_FILE)


class _Place(NamedTuple):
    """Where this package was found, and what Python processes."""

    environment: Mapping[str, str]
    root: str
    directories: Sequence[str]

    def is_processed(self) -> bool:
        return any(_same(self.root, directory) for directory in self.directories)

    def has_file(self) -> bool:
        return os.path.isfile(os.path.join(self.root, START_UP_FILE))

    def is_listed(self) -> bool:
        """Whether PYTHONPATH names it."""
        entries = self.environment.get("PYTHONPATH", "").split(os.pathsep)
        return any(entry and _same(self.root, entry) for entry in entries)


_USUAL_NAMES = ("site-packages", "dist-packages")

# The first that is true is the reason.
_WHY_NOT: Sequence[tuple[Callable[[_Place], object], str]] = (
    (lambda place: sys.flags.no_site, "hook-no-site"),
    (lambda place: place.is_processed() and not place.has_file(), "hook-no-file"),
    (lambda place: place.is_processed(), "hook-passed-over"),
    (lambda place: os.path.isfile(place.root), "hook-in-zip"),
    (lambda place: _same(place.root, site.getusersitepackages()), "hook-user-site-hidden"),
    (lambda place: place.is_listed(), "hook-on-pythonpath"),
    (lambda place: os.path.basename(place.root) in _USUAL_NAMES, "hook-other-environment"),
    (lambda place: True, "hook-not-site-packages"),
)


def _same(first: str, second: str) -> bool:
    return os.path.realpath(first) == os.path.realpath(second)
