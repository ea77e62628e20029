"""A Debian system in a directory, made with debootstrap, and commands that run in it.

Whatever is mounted is mounted in a mount namespace of the one command that needs it, so nothing
stays mounted, however that command ends. The directory itself can be removed at any time.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from support.checkout import copy_to

# What tells a command how to reach a mirror or a package index, from here as from in there.
_NETWORK = re.compile(
    r"(?i)(https?|all|no)_proxy|PIP_(EXTRA_)?INDEX_URL|PIP_(TRUSTED_HOST|DEFAULT_TIMEOUT)"
    r"|UV_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|INSECURE_HOST)"
)
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_PUBLIC_MIRROR = "http://deb.debian.org/debian"

# A process and mount namespace of its own, with a /proc, a /dev/shm and pseudo-terminals.
_ENTER = (
    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec"),
    'mount -t proc proc "$0/proc"; mount -t tmpfs shm "$0/dev/shm";'
    ' mkdir -p "$0/dev/pts"; mount -t devpts -o newinstance,ptmxmode=0666 devpts "$0/dev/pts";'
    ' ln -sfn pts/ptmx "$0/dev/ptmx"; exec chroot "$0" "$@"',
)


class Unavailable(Exception):
    """There can be no such root here; the message says why, in a line."""


class Root:
    """A directory with a Debian system."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def run(self, *command: str, at: str = "/") -> int:
        """Run a command in the root and show what it prints; returns its exit status."""
        return subprocess.run(self._entering(command, at), env=_variables()).returncode

    def output(self, *command: str) -> str:
        """What a command in the root prints; a failure is a reason to be unavailable."""
        return _output(self._entering(command, "/"), _variables(), shown=command)

    def copy_checkout(self) -> None:
        """A copy, because tests and builds leave litter."""
        copy = self.directory / "checkout"
        shutil.rmtree(copy, ignore_errors=True)
        copy_to(copy)

    def newer_pythons(self) -> list[str]:
        """The series of Python that the suite has from 3.14 on, such as ``3.15``."""
        found = self.output("apt-cache", "search", "--names-only", r"^python3\.[0-9]+-venv$")
        minors = sorted(int(minor) for minor in re.findall(r"^python3\.(\d+)-venv", found, re.M))
        return [f"3.{minor}" for minor in minors if minor >= 14]

    def install(self, *packages: str) -> None:
        self.output("apt-get", "install", "--yes", "--no-install-recommends", *packages)

    def _entering(self, command: Sequence[str], at: str) -> list[str]:
        return [*_ENTER, str(self.directory), "env", "-C", at, *command]


def make(directory: Path, suite: str, mirror: str | None, fresh: bool) -> Root:
    """The root in ``directory``, made unless an earlier run has made it.

    Its packages are those that debootstrap saw: a later run finds them installed and asks for no
    newer ones. ``fresh`` does.
    """
    _check_machine()
    if fresh:
        shutil.rmtree(directory, ignore_errors=True)
    if not directory.exists():
        half = directory.with_name(f"{directory.name}.half")
        shutil.rmtree(half, ignore_errors=True)
        script = Path("/usr/share/debootstrap/scripts", suite)
        # A debootstrap that is older than the suite knows it not, but sid's script serves all.
        scripts = [] if script.exists() else [str(script.with_name("sid"))]
        address = mirror or next(_mirrors(), _PUBLIC_MIRROR)
        print(f"debootstrap {suite} from {address}", flush=True)
        _output(
            [
                *("unshare", "--mount", "debootstrap", "--variant=minbase"),
                *("--include=ca-certificates", suite, str(half), address, *scripts),
            ],
            {**os.environ, "LC_ALL": "C.UTF-8"},
            shown=["debootstrap", suite, address],
        )
        half.rename(directory)
    for file in ("/etc/resolv.conf", os.environ.get("SSL_CERT_FILE", _CERTIFICATES)):
        inside = "/etc/resolv.conf" if file.endswith("resolv.conf") else _CERTIFICATES
        if Path(file).is_file():
            shutil.copyfile(file, f"{directory}{inside}")
    return Root(directory)


def _check_machine() -> None:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        raise Unavailable("debootstrap and chroot need root")
    for program in ("debootstrap", "unshare", "chroot"):
        if shutil.which(program) is None:
            raise Unavailable(f"{program} is not installed (apt-get install debootstrap)")
    _output(["unshare", "--mount", "--pid", "--fork", "true"], os.environ)


def _mirrors() -> Iterator[str]:
    """Debian's mirrors in this machine's own apt sources."""
    apt = Path("/etc/apt")
    for file in [apt / "sources.list", *sorted(apt.glob("sources.list.d/*"))]:
        if file.is_file():
            yield from re.findall(
                r"^[^#\n]*?(https?://\S+/debian)/?(?:\s|$)", file.read_text(), re.M
            )


def _variables() -> dict[str, str]:
    """The whole environment of a command in the root."""
    return {
        **{name: value for name, value in os.environ.items() if _NETWORK.fullmatch(name)},
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "DEBIAN_FRONTEND": "noninteractive",
        "PIP_CERT": _CERTIFICATES,
        "PIP_ROOT_USER_ACTION": "ignore",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "SSL_CERT_FILE": _CERTIFICATES,
    }


def _output(command: Sequence[str], variables: Mapping[str, str], shown: Sequence[str] = ()) -> str:
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
        raise Unavailable(f"{' '.join(shown or command)} failed: {lines[-1]}")
    return done.stdout
