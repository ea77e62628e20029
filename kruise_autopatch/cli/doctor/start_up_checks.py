"""The doctor on start-up: which interpreter, and whether it runs our hook."""

from __future__ import annotations

import os
import platform
import site
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kruise_autopatch.cli.doctor.child import ChildFailed, ask, last_line, package_root
from kruise_autopatch.cli.doctor.findings import Finding
from kruise_autopatch.cli.run import INJECTED

START_UP_FILE = "kruise_autopatch.pth"
# What is shipped, to the byte.
START_UP_LINE = (
    'import os; os.environ.get("KRUISE_E2B_PATCH") and __import__("kruise_autopatch").start()\n'
)

_REINSTALL = "run pip install --force-reinstall kruise-autopatch."
_OTHER_WAYS = (
    "install it into the environment of the program, or start the program with"
    " kruise-autopatch run, or call kruise_autopatch.patch_e2b() in it."
)
_WITHOUT_SITE = "leave -S out, or call kruise_autopatch.patch_e2b() in the program."

_RUNS_HOOK = "import json; print(json.dumps('kruise_autopatch.start_up' in sys.modules))"


def check(environment: Mapping[str, str]) -> Iterator[Finding]:
    """The interpreter, its directories, the start-up file, and whether it is processed."""
    yield from _check_interpreter(environment)
    directories = site_directories()
    root = package_root()
    yield _describe_packages(root, directories)

    yield from _check_file(directories, root)
    yield _check_hook(environment, root, directories)


def _check_interpreter(environment: Mapping[str, str]) -> Iterator[Finding]:
    text = f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}"
    yield Finding("interpreter", "ok", text)
    active = environment.get("VIRTUAL_ENV")
    if active and not _same(active, sys.prefix):
        yield Finding(
            "virtual-environment",
            "note",
            f"VIRTUAL_ENV is {active}, but this interpreter belongs to {sys.prefix}",
            "run the doctor with the interpreter of your program:"
            " python -m kruise_autopatch doctor.",
        )


def _describe_packages(root: str, directories: Sequence[str]) -> Finding:
    if any(_same(root, directory) for directory in directories):
        text = f"kruise_autopatch is installed in {root}"
    else:
        listed = ", ".join(directories) or "none"
        text = f"kruise_autopatch is in {root}; this interpreter's site-packages: {listed}"
    return Finding("site-packages", "ok", text, details=directories)


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
    found = [path for path in (Path(d, name) for d in directories) if path.is_file()]
    for path in found:
        if _content(path) == START_UP_LINE:
            yield Finding(name, "ok", f"{path} is there, as it was shipped")
        else:
            text = f"{path} is not what was shipped"
            yield Finding(name, "problem", text, f"look at what it does, then {_REINSTALL}")
    if found:
        return
    elsewhere = Path(root, name)
    if elsewhere.is_file():
        text = f"{elsewhere} is there, but that is no directory whose start-up files are processed"
    else:
        text = f"{name} is in no site-packages directory of this interpreter"
    # Whether that matters is for the check of the hook to say.
    yield Finding(name, "note", text)


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
        text = f"this interpreter could not be started again ({error})"
        return Finding("hook", "problem", text, "start it by hand to see more.")
    if runs:
        way = "at the start of this interpreter"
        if _is_injected(environment):
            way = "by PYTHONPATH, as kruise-autopatch run and an injected Pod have it"
        return Finding("hook", "ok", f"the hook runs, {way}")
    if errors.strip():
        text = f"the hook fails at start-up: {last_line(errors)}"
        return Finding("hook", "problem", text, _REINSTALL)
    reason = _why_not(environment, root, directories)
    advice = _WITHOUT_SITE if sys.flags.no_site else _OTHER_WAYS
    return Finding("hook", "problem", f"the hook does not run: {reason}", advice)


def _why_not(environment: Mapping[str, str], root: str, directories: Sequence[str]) -> str:
    if sys.flags.no_site:
        return "-S stops Python from processing any start-up file"
    if any(_same(root, directory) for directory in directories):
        if not os.path.isfile(os.path.join(root, START_UP_FILE)):
            return f"{root} is processed, but without our start-up file"
        return f"Python has passed over {START_UP_FILE}, or it does not do what it should"
    if os.path.isfile(root):
        return f"{root} is a zip archive, whose start-up files are not processed"
    user = site.getusersitepackages()
    if _same(root, user):
        return f"{root} is the user's site-packages, which -s, -I or the environment hides"
    listed = environment.get("PYTHONPATH", "").split(os.pathsep)
    if any(entry and _same(root, entry) for entry in listed):
        return f"{root} is on PYTHONPATH (or from pip --target); start-up files there are ignored"
    if os.path.basename(root) in ("site-packages", "dist-packages"):
        return f"{root} belongs to another environment than this interpreter"
    return f"{root} is on sys.path, but not a site-packages directory"


def _same(first: str, second: str) -> bool:
    return os.path.realpath(first) == os.path.realpath(second)
