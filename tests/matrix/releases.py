"""Which SDK releases there are, and which of them make an environment."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.version import Version

E2B, CODE_INTERPRETER, DESKTOP = "e2b", "e2b-code-interpreter", "e2b-desktop"
OLDEST = {E2B: Version("2.8.0"), CODE_INTERPRETER: Version("2.4.0"), DESKTOP: Version("2.1.0")}

# The Pythons that the package supports.
SUPPORTED = tuple(f"3.{minor}" for minor in range(9, 16))

# Around every boundary in what the SDK does. The newest holds the same conversation in `surfaces`.
REPRESENTATIVE = (
    *("2.8.0", "2.10.2", "2.13.3", "2.21.0", "2.25.0", "2.25.1", "2.29.1", "2.35.0"),
    *("2.38.0", "2.45.1", "2.51.0", "2.55.1", "2.56.0"),
)

# What else is tried there, on the releases of REPRESENTATIVE where it differs: natively, the routes
# (2.51), the check of keys (2.25), volumes (2.19 to 2.27) and the tokens; redirects, where RPCs
# would follow them.
SELDOM: Mapping[str, Sequence[str]] = {
    "native": ("2.8.0", "2.21.0", "2.38.0", "2.56.0"),
    "redirects": ("2.35.0",),
}

# (releases of the distribution, the e2b that they declare, the e2b among those that they work
# with in the stock SDK). Measured; releases to come are taken to be like the last line.
_COMPANIONS: Mapping[str, Sequence[tuple[str, str, str]]] = {
    CODE_INTERPRETER: (
        ("<=2.6.0", ">=2.7", "<=2.28.0"),
        ("==2.6.1", ">=2.20.2", "<=2.28.0"),
        ("==2.6.2", ">=2.20.3", "<=2.28.0"),
        ("==2.7.*", ">=2.23.1", "<=2.51.0,!=2.38.0,!=2.39.0"),
        (">=2.8.0,<=2.9.0", ">=2.26.0", "<=2.51.0,!=2.38.0,!=2.39.0"),
        (">=2.9.1,<2.10", ">=2.39.1", "<=2.51.0"),
        ("==2.10.0", ">=2.44.0", "<=2.51.0"),
        ("==2.10.1", ">=2.52.0", ""),
        ("==2.10.3", ">=2.53.0", ""),
        ("==2.10.4", ">=2.55.0", "!=2.55.0"),
        (">=2.10.5", ">=2.55.1", ""),
    ),
    DESKTOP: (
        ("==2.1.*", ">=2.3", ""),
        (">=2.2,<=2.3.0", ">=2.6", ""),
        ("==2.3.1", ">=2.20.3", ""),
        (">=2.4.0,<=2.4.2", ">=2.25.1", ""),
        ("==2.4.3", ">=2.38.0", ""),
        ("==2.4.4", ">=2.38.0", "!=2.38.0"),
        (">=2.5.0", ">=2.44.0", ""),
    ),
}

# Pairs that pip installs, and that the stock SDK cannot run: (e2b, code interpreter, desktop).
_BROKEN_PAIRS = (
    ("2.28.1", "2.6.2", ""),
    ("2.38.0", "", "2.4.4"),
    ("2.52.0", "2.10.0", ""),
    ("2.55.0", "2.10.4", ""),
)


@dataclass(frozen=True)
class Release:
    version: Version
    requires_python: SpecifierSet


@dataclass(frozen=True)
class Environment:
    """One e2b release, its companions, and the interpreter to run them."""

    e2b: Version
    code_interpreter: Version
    desktop: Version
    python: str
    # Not an e2b release's own row, but there to prove one more release or one more breakage.
    extra: bool = False

    @property
    def name(self) -> str:
        return f"e2b-{self.e2b}-ci-{self.code_interpreter}-desktop-{self.desktop}-py{self.python}"

    @property
    def requirements(self) -> list[str]:
        return [
            f"{E2B}=={self.e2b}",
            f"{CODE_INTERPRETER}=={self.code_interpreter}",
            f"{DESKTOP}=={self.desktop}",
        ]


Releases = Mapping[str, Sequence[Release]]


def published(cache: Path, max_age: float) -> Releases:
    """Every release since the oldest that we support, by distribution; asked of PyPI at most
    once in ``max_age`` seconds."""
    return {name: _published(name, cache / f"{name}.json", max_age) for name in OLDEST}


def _published(name: str, cache: Path, max_age: float) -> list[Release]:
    if not cache.exists() or time.time() - cache.stat().st_mtime > max_age:
        request = urllib.request.Request(
            f"https://pypi.org/simple/{name}/",
            headers={"Accept": "application/vnd.pypi.simple.v1+json"},
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            cache.write_bytes(reply.read())
    found: dict[Version, Release] = {}
    for file in json.loads(cache.read_text())["files"]:
        match = re.fullmatch(r"[^-]+-([^-]+)-py3-none-any\.whl", file["filename"])
        if match is None:
            continue
        version = Version(match[1])
        if version >= OLDEST[name] and not version.is_prerelease:
            found[version] = Release(version, SpecifierSet(file["requires-python"] or ""))
    return [found[version] for version in sorted(found)]


def interpreters(versions: Iterable[str] = SUPPORTED) -> dict[str, str]:
    """The Pythons of this machine that run: version to path."""
    found = {}
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for version in versions:
        candidates = [str(p) for p in sorted(pyenv.glob(f"{version}.*/bin/python"))]
        on_path = shutil.which(f"python{version}")
        for python in ([on_path] if on_path else []) + candidates:
            # Its own name for itself: a version manager's shim works only where its settings are.
            asking = [python, "-c", "import sys; print(sys.executable)"]
            done = subprocess.run(asking, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                found[version] = done.stdout.strip()
                break
    return found


def plan(releases: Releases, pythons: Iterable[str]) -> tuple[list[Environment], list[Release]]:
    """The environments that prove every release once, and the e2b releases that no Python here
    can run."""
    available = sorted(pythons, key=Version)
    environments: list[Environment] = []
    skipped = []
    unused = {
        name: {release.version for release in releases[name]}
        for name in (CODE_INTERPRETER, DESKTOP)
    }
    for release in releases[E2B]:
        python = _lowest(release, available)
        if python is None:
            skipped.append(release)
            continue
        chosen = {}
        for name, left in unused.items():
            fitting = _fitting(releases[name], name, release.version, python)
            # One that has not been tried yet, or else the newest; the newest e2b gets the newest.
            untried = [] if release is releases[E2B][-1] else [v for v in fitting if v in left]
            chosen[name] = max(untried or fitting)
            left.discard(chosen[name])
        environments.append(
            Environment(release.version, chosen[CODE_INTERPRETER], chosen[DESKTOP], python)
        )
    extras = [*_leftovers(releases, unused, available), *_broken(environments)]
    return [*environments, *extras], skipped


def _lowest(release: Release, pythons: Sequence[str]) -> str | None:
    return next((python for python in pythons if f"{python}.99" in release.requires_python), None)


def _fitting(candidates: Sequence[Release], name: str, e2b: Version, python: str) -> list[Version]:
    """Those that work with this e2b; if there are none, those that pip would install."""
    installable, working = [], []
    for candidate in candidates:
        if f"{python}.99" not in candidate.requires_python:
            continue
        for versions, declared, works in _COMPANIONS[name]:
            if candidate.version in SpecifierSet(versions) and e2b in SpecifierSet(declared):
                installable.append(candidate.version)
                if e2b in SpecifierSet(works):
                    working.append(candidate.version)
    return working or installable


def _leftovers(
    releases: Releases, unused: Mapping[str, set[Version]], pythons: Sequence[str]
) -> list[Environment]:
    """One environment for each companion that no e2b release's own environment has."""
    extras = []
    for name, other in ((CODE_INTERPRETER, DESKTOP), (DESKTOP, CODE_INTERPRETER)):
        for candidate in releases[name]:
            if candidate.version not in unused[name]:
                continue
            for e2b in reversed(releases[E2B]):
                both = SpecifierSet(f"{e2b.requires_python}") & candidate.requires_python
                python = _lowest(Release(e2b.version, both), pythons)
                if python and candidate.version in _fitting([candidate], name, e2b.version, python):
                    companion = max(_fitting(releases[other], other, e2b.version, python))
                    pair = (candidate.version, companion)
                    interpreter, desktop = pair if name == CODE_INTERPRETER else pair[::-1]
                    extras.append(Environment(e2b.version, interpreter, desktop, python, True))
                    break
    return extras


def _broken(environments: Sequence[Environment]) -> list[Environment]:
    rows = {str(environment.e2b): environment for environment in environments}
    return [
        Environment(
            rows[e2b].e2b,
            Version(interpreter) if interpreter else rows[e2b].code_interpreter,
            Version(desktop) if desktop else rows[e2b].desktop,
            rows[e2b].python,
            True,
        )
        for e2b, interpreter, desktop in _BROKEN_PAIRS
        if e2b in rows
    ]


def more_of(environment: Environment) -> list[str]:
    """What is tried of SELDOM where only representative releases are."""
    return [what for what, releases in SELDOM.items() if str(environment.e2b) in releases]


def is_representative(environment: Environment) -> bool:
    return str(environment.e2b) in REPRESENTATIVE and not environment.extra
