"""What runs for a sandbox: its namespaces, and the agent in them. It can be replaced."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import tempfile
from typing import Any, Callable, TypeVar

from ..plan import FREEZE, HOME, PROGRAMS, THAW, Plan
from . import isolation
from .isolation import Isolation
from .nursery import Nursery, NurseryError

Result = TypeVar("Result")

_START_TIMEOUT = 30
_STOP_TIMEOUT = 5
# A path of a Unix socket has no more letters than that (macOS; Linux has a few more).
_LONGEST_PATH = 100


class PodError(RuntimeError):
    """A sandbox could not be started."""


class Pods:
    """Makes pods, and keeps some of them ready."""

    def __init__(self, base: str, kind: Isolation, nursery: Nursery, warm: int) -> None:
        self._base = base
        self._kind = kind
        self._nursery = nursery
        self._warm = warm
        self._made = 0
        self._ready: list[asyncio.Task[Pod]] = []
        # Sockets may need a shorter path than the directory of all sandboxes has.
        self._sockets = base
        if len(base) > _LONGEST_PATH - 16:
            self._sockets = tempfile.mkdtemp(prefix="kruise-", dir="/tmp")

    def fill(self) -> None:
        """Have as many pods ready, or on their way, as there are to be."""
        while len(self._ready) < self._warm:
            self._ready.append(asyncio.ensure_future(self._make(None)))

    async def start(self, plan: dict[str, Any], directory: str | None = None) -> Pod:
        """A running pod; with a directory, on the files that are in it already."""
        if directory is None and self._ready:
            pod = await self._ready.pop(0)
        else:
            pod = await self._make(directory)
        self.fill()
        try:
            await _in_thread(lambda: pod.start(plan, self._nursery))
        except BaseException:
            await pod.stop()
            await pod.remove()
            raise
        return pod

    async def close(self) -> None:
        ready, self._ready, self._warm = self._ready, [], 0
        for task in ready:
            with contextlib.suppress(Exception):
                pod = await task
                await pod.stop()
        self._nursery.close()
        if self._sockets != self._base:
            isolation.remove(self._sockets)

    async def _make(self, directory: str | None) -> Pod:
        self._made += 1
        name = str(self._made)
        pod = Pod(
            directory or os.path.join(self._base, name),
            os.path.join(self._sockets, f"{name}."),
            self._base,
            self._kind,
        )
        try:
            await _in_thread(pod.prepare)
        except BaseException:
            await pod.stop()
            await pod.remove()
            raise
        return pod


class Pod:
    """Namespaces, if there are any, and the agent in them."""

    def __init__(self, directory: str, sockets: str, base: str, kind: Isolation) -> None:
        self.directory = directory
        self.envd_socket = f"{sockets}e"
        self.code_socket = f"{sockets}c"
        self._base = base
        self._kind = kind
        self._unshare: subprocess.Popen[bytes] | None = None
        self._first: int | None = None
        self._killed = False
        self._lifeline: socket.socket | None = None

    def prepare(self) -> None:
        """Make the directories and the namespaces. Blocks."""
        try:
            os.makedirs(self.directory, mode=0o700, exist_ok=True)
            if not self._kind.namespaces:
                for name in ("home", "tmp"):
                    os.makedirs(os.path.join(self.directory, name), exist_ok=True)
                self._write_profile()
                return
            command = isolation.prepare(self._kind, self.directory, self._base)
            self._unshare = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=isolation.environment(),
                start_new_session=True,
            )
        except OSError as error:
            raise PodError(f"cannot make a sandbox: {error.strerror}") from error
        assert self._unshare.stdout is not None
        assert self._unshare.stderr is not None
        with self._unshare.stdout, self._unshare.stderr:
            if self._unshare.stdout.readline().strip() != isolation.READY:
                lines = self._unshare.stderr.read().decode(errors="replace").splitlines()
                raise PodError(
                    f"cannot make a sandbox: {lines[-1] if lines else 'no reason given'}"
                )
        self._first = _only_child(self._unshare.pid)

    def start(self, plan: dict[str, Any], nursery: Nursery) -> None:
        """Start the agent. Blocks."""
        isolated = self._kind.namespaces
        whole = Plan(
            home=HOME if isolated else os.path.join(self.directory, "home"),
            temporary="/tmp" if isolated else os.path.join(self.directory, "tmp"),
            isolated=isolated,
            accounts=self._kind.accounts,
            **plan,
        )
        self._lifeline, theirs = socket.socketpair()
        try:
            with theirs, _listen(self.envd_socket) as envd, _listen(self.code_socket) as code:
                # Without namespaces there is nothing to enter, and home is where commands begin.
                start = "/" if isolated else whole.home
                nursery.raise_one(whole, envd, code, theirs, self._first, start)
        except (OSError, NurseryError) as error:
            raise PodError(f"cannot start a sandbox: {error}") from error

    async def freeze(self) -> None:
        """Stop every process where it is."""
        await self._tell(FREEZE)

    async def thaw(self) -> None:
        """Let every process go on."""
        await self._tell(THAW)

    def kill(self) -> None:
        """Have every process end, without waiting for it."""
        # Once: as soon as it has ended, its number may be another process's.
        if self._unshare is not None and not self._killed:
            self._killed = True
            # With the first process of a PID namespace the kernel ends all the others.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._first or self._unshare.pid, signal.SIGKILL)
        if self._lifeline is not None:
            with contextlib.suppress(OSError):
                self._lifeline.shutdown(socket.SHUT_WR)

    async def stop(self) -> None:
        """End every process; the files stay."""
        await _in_thread(self._stop)

    async def remove(self) -> None:
        """Remove the files."""
        await _in_thread(lambda: isolation.remove(self.directory))

    async def _tell(self, order: bytes) -> None:
        lifeline = self._lifeline
        if lifeline is not None:
            await _in_thread(lambda: lifeline.send(order) and lifeline.recv(1))

    def _stop(self) -> None:
        self.kill()
        lifeline, self._lifeline = self._lifeline, None
        unshare, self._unshare = self._unshare, None
        if unshare is not None:
            if unshare.stdin is not None:
                unshare.stdin.close()
            unshare.wait()
        if lifeline is not None:
            with lifeline, contextlib.suppress(OSError):
                lifeline.settimeout(_STOP_TIMEOUT)
                while lifeline.recv(1):
                    pass
        for path in (self.envd_socket, self.code_socket):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def _write_profile(self) -> None:
        """The SDKs run commands in login shells, which may set the path anew."""
        path = os.path.join(self.directory, "home", ".profile")
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(f"PATH='{PROGRAMS}':$PATH\n")


def _listen(path: str) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.bind(path)
        os.chmod(path, 0o600)
        listening.listen(512)
    except BaseException:
        listening.close()
        raise
    return listening


def _only_child(pid: int) -> int:
    # Not before there is a sandbox: a start is not to wait for it.
    import psutil

    (child,) = psutil.Process(pid).children()
    return int(child.pid)


async def _in_thread(work: Callable[[], Result]) -> Result:
    return await asyncio.get_running_loop().run_in_executor(None, work)
