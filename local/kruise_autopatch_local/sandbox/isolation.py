"""Namespaces of its own for each sandbox, made by util-linux: `unshare`, `mount`, `pivot_root`.

A sandbox sees the host's whole file system, and what it changes is its own: an overlay lies over
`/`, and over each file system that is mounted below. `/tmp` and `/home/user` begin empty. With
root there are accounts, `root` and `user`; without, every process is the server's own user.

The kernel refuses an overlay of `/` to anybody but root. Without root each top-level directory
gets one of its own; where that is refused too, because something is mounted below it, the host's
own directory is seen.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..plan import HOME, PROGRAMS, USER

AUTO, NAMESPACES, NONE = "auto", "namespaces", "none"
CHOICES = (AUTO, NAMESPACES, NONE)

_TOOLS = ("unshare", "mount", "umount", "pivot_root", "sh", "cat")
# /usr/sbin is not on everybody's path, but pivot_root lives there.
_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))

# The kernel's own views, which no overlay can lie over.
_KERNELS = ("/proc", "/sys", "/dev")
_EMPTY = ("/tmp", HOME)
# Without root: nobody but root may look into root's home, and so nothing can lie over it.
_OWN_WITHOUT_ROOT = ("/tmp", "/root")

_PROBE_TIMEOUT = 120
# Where Debian's adduser looks for a free number, too.
_FIRST_UID, _LAST_UID = 1000, 60000


class IsolationError(RuntimeError):
    """What was asked for is not to be had on this host."""


@dataclass(frozen=True)
class Isolation:
    """What keeps the sandboxes of a server apart from the host."""

    namespaces: bool
    root: bool
    # Why there are no namespaces, if there are none.
    reason: str = ""

    @property
    def accounts(self) -> bool:
        return self.namespaces and self.root

    def described(self) -> str:
        """One line for whoever starts the server."""
        if not self.namespaces:
            return (
                f"not isolated ({self.reason}): sandboxes work on this machine's own files, "
                "as you, and see its processes"
            )
        if not self.root:
            return (
                "isolated by namespaces without root: processes, /tmp, /home; some directories "
                "of this machine may be its own, and all accounts inside are you"
            )
        return (
            "isolated by namespaces: files, processes and accounts; the network is this machine's"
        )


def choose(wanted: str, directory: str) -> Isolation:
    """What this host allows of what is wanted. Raises `IsolationError`."""
    if wanted == NONE:
        return Isolation(False, False, "--isolation none")
    reason = _refusal(directory)
    if reason is None:
        return Isolation(True, os.geteuid() == 0)
    if wanted == NAMESPACES:
        raise IsolationError(
            f"--isolation namespaces is not possible here: {reason}; use --isolation auto"
        )
    return Isolation(False, False, reason)


def _refusal(directory: str) -> str | None:
    """Why namespaces are not to be had, or `None`: it is tried."""
    if sys.platform != "linux":
        return "namespaces are Linux's"
    missing = [tool for tool in _TOOLS if shutil.which(tool, path=_PATH) is None]
    if missing:
        return f"'{missing[0]}' of util-linux is missing"
    probe = os.path.join(directory, "probe")
    os.mkdir(probe, 0o700)
    try:
        isolation = Isolation(True, os.geteuid() == 0)
        command = prepare(isolation, probe, directory)
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_TIMEOUT,
            check=False,
            env=environment(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"namespaces cannot be tried: {error}"
    finally:
        remove(probe)
    if done.stdout.strip() == READY:
        return None
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"'unshare' ended with {done.returncode}"


READY = b"ready"


def environment() -> dict[str, str]:
    """Of the commands that make a sandbox's namespaces."""
    return {"PATH": _PATH, "LC_ALL": "C"}


# --- one sandbox ---------------------------------------------------------------------------


def prepare(isolation: Isolation, directory: str, base: str) -> list[str]:
    """Lay out a sandbox's directory, and return the command that makes its namespaces.

    The command says `READY`, and lives until its standard input ends. `base` is the directory of
    all sandboxes, which none of them is to see.
    """
    os.makedirs(os.path.join(directory, "root"), exist_ok=True)
    rootless = not isolation.root
    layers = Layers(directory, rootless)
    layers.add("/")
    for mounted in _mounted(base):
        layers.add(mounted)
    needed = list(_needed())
    for path in needed:
        if _is_below_any(path, _EMPTY):
            layers.add(path)
    _furnish(layers, isolation, base, needed)
    script = "\n".join(_script(directory, layers, rootless))
    path = os.path.join(directory, "setup.sh")
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(script + "\n")
    namespaces = ["--mount", "--pid", "--propagation", "private"]
    if rootless:
        namespaces += ["--user", "--map-root-user"]
    return ["unshare", *namespaces, "--fork", "--kill-child", "sh", path]


class Layers:
    """The overlays of a sandbox, and where in them a file of its own lies."""

    def __init__(self, directory: str, rootless: bool) -> None:
        self.rootless = rootless
        self._directory = directory
        # By the place that they lie over. Insertion order is mounting order.
        self.places: dict[str, str] = {}

    def add(self, place: str) -> None:
        if place in self.places:
            return
        layer = os.path.join(self._directory, "layers", str(len(self.places)))
        for name in ("upper", "work"):
            os.makedirs(os.path.join(layer, name), exist_ok=True)
        if os.path.isdir(place):
            _like(place, os.path.join(layer, "upper"))
        self.places[place] = layer

    def own(self, path: str) -> str:
        """The directory of the sandbox's own that is seen at `path`; it is made."""
        place = max((p for p in self.places if _is_below(path, p)), key=len)
        own, seen = os.path.join(self.places[place], "upper"), place
        for part in os.path.relpath(path, place).split(os.sep):
            if part == ".":
                continue
            own, seen = os.path.join(own, part), os.path.join(seen, part)
            if not os.path.isdir(own):
                os.mkdir(own)
                if os.path.isdir(seen):
                    _like(seen, own)
        return own

    def empty(self, path: str) -> str:
        """As `own`, without anything of the host's in it."""
        own = self.own(path)
        namespace = "user" if self.rootless else "trusted"
        os.setxattr(own, f"{namespace}.overlay.opaque", b"y")  # type: ignore[attr-defined, unused-ignore]
        return own


def _furnish(layers: Layers, isolation: Isolation, base: str, needed: Iterable[str]) -> None:
    """Put into the layers what a sandbox has and the host has not."""
    os.chmod(layers.empty("/tmp"), 0o1777)
    layers.own("/root")
    home = layers.empty(HOME)
    os.chmod(home, 0o777)
    if not _is_below_any(base, _EMPTY):
        layers.empty(base)
    uid = _uid_of_user()
    for name, line in (
        ("passwd", f"{USER}:x:{uid}:{uid}::{HOME}:/bin/bash"),
        ("group", f"{USER}:x:{uid}:"),
    ):
        try:
            with open(f"/etc/{name}", encoding="utf-8", errors="surrogateescape") as file:
                lines = [each for each in file if not each.startswith(f"{USER}:")]
        except OSError:
            lines = []
        own = os.path.join(layers.own("/etc"), name)
        if os.path.exists(own):
            continue  # Of a sandbox that was paused.
        with open(own, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.writelines([*lines, f"{line}\n"])
        os.chmod(own, 0o644)
    # A login shell, as which the SDKs run commands, sets the path anew.
    profile = os.path.join(layers.own("/etc/profile.d"), "kruise-autopatch-local.sh")
    with open(profile, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(f"PATH={shlex.quote(PROGRAMS)}:$PATH\n")
    os.chmod(profile, 0o644)
    if isolation.accounts:
        os.chown(home, uid, uid)
        for path in needed:
            _open_the_way(layers, path)
        _let_users_install(layers)


def _open_the_way(layers: Layers, path: str) -> None:
    """Let `user` pass through to the interpreter, which may lie in root's own home."""
    parent = os.path.dirname(path)
    while parent != "/":
        try:
            mode = os.stat(parent).st_mode
        except OSError:
            return
        if not mode & stat.S_IXOTH:
            os.chmod(layers.own(parent), stat.S_IMODE(mode) | 0o111)
        parent = os.path.dirname(parent)


def _let_users_install(layers: Layers) -> None:
    """Have `pip` fall back to `~/.local` for `user`, as it does on the template.

    In a virtual environment it would not, unless that sees what lies outside of it.
    """
    try:
        with open(os.path.join(sys.prefix, "pyvenv.cfg"), encoding="utf-8") as file:
            lines = [line for line in file if not line.startswith("include-system-site-packages")]
    except OSError:
        return
    own = os.path.join(layers.own(sys.prefix), "pyvenv.cfg")
    with open(own, "w", encoding="utf-8") as file:
        file.writelines([*lines, "include-system-site-packages = true\n"])
    os.chmod(own, 0o644)


def _script(directory: str, layers: Layers, rootless: bool) -> Iterator[str]:
    """The commands that run in the new namespaces, before anything else does."""
    root = os.path.join(directory, "root")
    yield "set -eu"
    places = list(layers.places)
    if rootless:
        yield f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(root)}"
        yield from _top_level(layers, root)
        places.remove("/")
    for place in places:
        target = root if place == "/" else root + place
        quoted = shlex.quote(target)
        if place != "/":
            yield f"mkdir -p {quoted} 2>/dev/null || true"
        if rootless:
            yield f"{_overlay(place, layers, target)} 2>/dev/null || true"
        elif place == "/":
            yield _overlay(place, layers, target)
        else:
            bind = f"mount --bind {shlex.quote(place)} {quoted}"
            yield f"{_overlay(place, layers, target)} 2>/dev/null || {bind}"
    for kernels in ("/dev", "/sys"):
        yield f"mount --rbind {kernels} {shlex.quote(root + kernels)}"
    yield f"mount -t tmpfs -o mode=1777 tmpfs {shlex.quote(root + '/dev/shm')} || true"
    yield f"mount -t proc proc {shlex.quote(root + '/proc')}"
    yield f"cd {shlex.quote(root)}"
    yield "mkdir tmp/.host"
    yield "pivot_root . tmp/.host"
    yield "umount -l /tmp/.host"
    yield "rmdir /tmp/.host"
    # The first process of a PID namespace reaps the others; its end is theirs.
    yield "exec 3<&0 </dev/null"
    yield f"echo {READY.decode()}"
    yield "exec >/dev/null 2>&1"
    yield "cat <&3 &"
    yield "exec 3<&-"
    yield "wait"


def _top_level(layers: Layers, root: str) -> Iterator[str]:
    """Without root: the top-level directories, each with an overlay, or else as it is."""
    upper = os.path.join(layers.places["/"], "upper")
    names = sorted({*os.listdir("/"), *os.listdir(upper)})
    for name in names:
        place, target = f"/{name}", shlex.quote(f"{root}/{name}")
        if os.path.islink(place):
            yield f"ln -s {shlex.quote(os.readlink(place))} {target}"
            continue
        if os.path.exists(place) and not os.path.isdir(place):
            continue
        yield f"mkdir -p {target}"
        if place in _KERNELS:
            continue
        own = os.path.join(upper, name)
        if place in _OWN_WITHOUT_ROOT:
            yield f"mount --bind {shlex.quote(own)} {target}"
            continue
        if not os.path.isdir(own):
            os.mkdir(own)
        work = os.path.join(layers.places["/"], "work", name)
        os.makedirs(work, exist_ok=True)
        options = f"userxattr,lowerdir={place},upperdir={own},workdir={work}"
        overlay = f"mount -t overlay overlay -o {shlex.quote(options)} {target} 2>/dev/null"
        instead = f"mount --rbind {shlex.quote(own if place == '/home' else place)} {target}"
        yield f"{overlay} || {instead} || true"


def _overlay(place: str, layers: Layers, target: str) -> str:
    layer = layers.places[place]
    options = f"lowerdir={place},upperdir={layer}/upper,workdir={layer}/work"
    if layers.rootless:
        options = f"userxattr,{options}"
    return f"mount -t overlay overlay -o {shlex.quote(options)} {shlex.quote(target)}"


# --- the host ------------------------------------------------------------------------------


def _mounted(base: str) -> Iterator[str]:
    """The directories that a file system of its own is mounted on, parents first."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        # Field 5, with spaces and the like as octal escapes.
        places = {line.split()[4].encode().decode("unicode_escape") for line in file}
    for place in sorted(places):
        special = place == "/" or _is_below_any(place, (*_KERNELS, *_EMPTY, base))
        # In an option of mount, a comma or a colon is not a part of a name.
        if not special and not set(place) & set(",:\\") and os.path.isdir(place):
            yield place


def _needed() -> Iterator[str]:
    """Where our interpreter and its packages lie."""
    for path in dict.fromkeys((sys.prefix, sys.exec_prefix, sys.base_prefix, *sys.path)):
        # With `python -m`, the first place to look for modules is where the server was started.
        if path and os.path.isdir(path) and path not in (*_EMPTY, os.getcwd()):
            yield os.path.abspath(path)
    executable = os.path.abspath(sys.executable)
    for _ in range(8):
        yield os.path.dirname(executable)
        if not os.path.islink(executable):
            return
        executable = os.path.join(os.path.dirname(executable), os.readlink(executable))
        executable = os.path.normpath(executable)


def _uid_of_user() -> int:
    """The number of the account `user`: the host's own, or else the first free one."""
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(USER).pw_uid
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    return next(uid for uid in range(_FIRST_UID, _LAST_UID) if uid not in taken)


def _is_below(path: str, place: str) -> bool:
    return path == place or path.startswith(place.rstrip("/") + "/")


def _is_below_any(path: str, places: Iterable[str]) -> bool:
    return any(_is_below(path, place) for place in places)


def _like(seen: str, own: str) -> None:
    """Give a directory the owner and the mode of another one."""
    status = os.stat(seen)
    with contextlib.suppress(PermissionError):
        os.chown(own, status.st_uid, status.st_gid)
    os.chmod(own, stat.S_IMODE(status.st_mode))


def remove(directory: str) -> None:
    """Remove a sandbox's directory, whatever modes its own processes gave to what is in it."""
    shutil.rmtree(directory, ignore_errors=True)
    if os.path.isdir(directory):
        for parent, names, _ in os.walk(directory):
            for name in names:
                path = os.path.join(parent, name)
                if not os.path.islink(path):
                    with contextlib.suppress(OSError):
                        os.chmod(path, 0o700)
        shutil.rmtree(directory, ignore_errors=True)
