"""Run a command as a container does: with mounts of its own, and as nobody.

python contained.py SPECIFICATION

The specification is a :class:`Container` as JSON. The command sees itself as user 65534, has no
capability, and gets the variables that this program was started with. Files of whoever starts it
stay theirs to read: a user namespace maps the one to the other. Linux only; the exit status is
``CANNOT`` where the machine does not allow it.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

CANNOT = 77
NOBODY = 65534

_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
# statvfs and mount name these flags by the same numbers: nosuid, nodev, noexec, noatime and so on.
_KEPT_FLAGS = 2 | 4 | 8 | 1024 | 2048

# Seconds. Far above what any of these programs needs, so that only a hang meets it.
_PATIENCE = 600


@dataclass(frozen=True)
class Mount:
    """A directory of this machine, and where the command sees it."""

    source: str
    target: str
    read_only: bool = True


@dataclass(frozen=True)
class Container:
    command: Sequence[str]
    mounts: Sequence[Mount] = ()
    # The command's root directory; None for this machine's.
    root: str | None = None
    directory: str = "/"


class NotAllowed(Exception):
    """This machine lets us have no mounts of our own."""


def run(container: Container, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run ``container`` with ``variables`` and nothing else. Raises :class:`NotAllowed`."""
    done = subprocess.run(
        # -I and -S: nothing of the variables is for this interpreter.
        [sys.executable, "-I", "-S", __file__, json.dumps(asdict(container))],
        env=dict(variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    if done.returncode == CANNOT:
        raise NotAllowed(done.stderr.strip())
    return done


def main(specification: str) -> None:
    values = json.loads(specification)
    container = Container(**{**values, "mounts": [Mount(**mount) for mount in values["mounts"]]})
    try:
        _enter(container)
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(CANNOT)
    os.execve(container.command[0], list(container.command), dict(os.environ))


def _enter(container: Container) -> None:
    user, group = os.getuid(), os.getgid()
    _call("unshare", _CLONE_NEWUSER | _CLONE_NEWNS)
    _write("setgroups", "deny")
    _write("uid_map", f"{NOBODY} {user} 1")
    _write("gid_map", f"{NOBODY} {group} 1")
    _mount(None, "/", _MS_REC | _MS_PRIVATE)
    if container.root is not None:
        _bind(Mount(container.root, container.root))
    for mount in container.mounts:
        target = mount.target if container.root is None else container.root + mount.target
        _bind(Mount(mount.source, target, mount.read_only))
    if container.root is not None:
        os.chroot(container.root)
    os.chdir(container.directory)


def _bind(mount: Mount) -> None:
    _mount(mount.source, mount.target, _MS_BIND | _MS_REC)
    if mount.read_only:
        kept = os.statvfs(mount.target).f_flag & _KEPT_FLAGS
        _mount(None, mount.target, _MS_BIND | _MS_REMOUNT | _MS_RDONLY | kept)


def _mount(source: str | None, target: str, flags: int) -> None:
    from_ = None if source is None else source.encode()
    _call("mount", from_, target.encode(), None, ctypes.c_ulong(flags), None)


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _write(name: str, text: str) -> None:
    with open(f"/proc/self/{name}", "w") as file:
        file.write(text)


if __name__ == "__main__":
    main(sys.argv[1])
