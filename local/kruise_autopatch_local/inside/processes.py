"""Real processes of a sandbox: started, listened to, written to, signalled, ended.

Every process leads a session of its own, so that a signal reaches what it started as well. A
listener that does not read holds up the process, as a full pipe does.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import select
import struct
import termios
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, NamedTuple, Union

from .users import User

_CHUNK = 32 * 1024
# Chunks that a listener may lag behind before the process has to wait for it.
_LAG = 64


class Command(NamedTuple):
    """What was asked to be run."""

    name: str
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = {}
    directory: str | None = None


class Output(NamedTuple):
    """Some bytes of `stdout`, `stderr` or `pty`."""

    stream: str
    data: bytes


class Ended(NamedTuple):
    """How a process ended: with an exit code, or by a signal."""

    exit_code: int | None
    signal: int | None


# Evaluated at run time, on Python 3.9 too.
Event = Union[Output, Ended]


class ProcessError(Exception):
    """A process cannot do what it was asked to."""


class CannotStart(ProcessError):
    """The system refused to start it."""


class NoSuchProcess(ProcessError):
    """It is not there, or not any more."""


class NotPossible(ProcessError):
    """Such a process has no terminal, or no open input."""


class Process:
    """One running process and those who listen to it."""

    def __init__(
        self,
        command: Command,
        tag: str | None,
        child: asyncio.subprocess.Process,
        pty: int | None,
    ) -> None:
        self.command = command
        self.tag = tag
        self.pid = child.pid
        self._child = child
        self._pty = pty
        self._listeners: set[asyncio.Queue[Event]] = set()
        self._end: Ended | None = None
        self.finished: asyncio.Task[None] = asyncio.ensure_future(self._run())

    @property
    def ended(self) -> bool:
        return self._end is not None

    @property
    def has_terminal(self) -> bool:
        return self._pty is not None

    def listen(self) -> asyncio.Queue[Event]:
        """A queue of the events from now on; the last one is the end."""
        queue: asyncio.Queue[Event] = asyncio.Queue(_LAG)
        if self._end is not None:
            queue.put_nowait(self._end)
        self._listeners.add(queue)
        return queue

    def forget(self, queue: asyncio.Queue[Event]) -> None:
        self._listeners.discard(queue)
        # Whoever waits for room in it may go on.
        while not queue.empty():
            queue.get_nowait()

    async def write(self, data: bytes, to_pty: bool) -> None:
        """Send input, as envd does: to the terminal or to stdin, never to the other one."""
        if to_pty:
            if self._pty is None:
                raise NotPossible("tty not assigned to process")
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, _write_all, self._pty, data)
            return
        stdin = self._child.stdin
        if stdin is None or stdin.is_closing():
            raise NotPossible("stdin not enabled or closed")
        try:
            stdin.write(data)
            await stdin.drain()
        except OSError as error:
            raise NotPossible(f"error writing to stdin: {error}") from error

    def resize(self, columns: int, rows: int) -> None:
        if self._pty is None:
            raise NotPossible("tty not assigned to process")
        fcntl.ioctl(self._pty, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def signal(self, number: int) -> None:
        """Signal the process and, unlike envd, its whole process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def _run(self) -> None:
        readers = []
        if self._pty is not None:
            readers.append(self._read_pty(self._pty))
        if self._child.stdout is not None:
            readers.append(self._read(self._child.stdout, "stdout"))
        if self._child.stderr is not None:
            readers.append(self._read(self._child.stderr, "stderr"))
        # envd ends a process only when its pipes are closed too, i.e. `sleep 9 &` holds it.
        await asyncio.gather(*readers)
        code = await self._child.wait()
        if self._pty is not None:
            os.close(self._pty)
            self._pty = None
        self._end = Ended(code, None) if code >= 0 else Ended(None, -code)
        await self._tell(self._end)

    async def _tell(self, event: Event) -> None:
        for queue in list(self._listeners):
            if queue in self._listeners:
                await queue.put(event)

    async def _read(self, stream: asyncio.StreamReader, name: str) -> None:
        while data := await stream.read(_CHUNK):
            await self._tell(Output(name, data))

    async def _read_pty(self, master: int) -> None:
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(master, readable.set)
        try:
            while True:
                await readable.wait()
                readable.clear()
                try:
                    data = os.read(master, _CHUNK)
                except BlockingIOError:
                    continue
                except OSError:  # EIO is how Linux says that nobody holds the terminal any more.
                    return
                if not data:
                    return
                await self._tell(Output("pty", data))
        finally:
            loop.remove_reader(master)


class ProcessTable:
    """The processes that one sandbox's envd has started and that still run."""

    def __init__(self) -> None:
        self._processes: dict[int, Process] = {}

    async def start(
        self,
        command: Command,
        *,
        cwd: str,
        env: dict[str, str],
        user: User,
        tag: str | None,
        stdin: bool,
        size: tuple[int, int] | None,
    ) -> Process:
        """Start a process; `size` is that of its terminal (columns, rows), if it has one."""
        if not command.name:
            raise CannotStart("error starting process '': exec: no command")
        try:
            if size is None:
                child = await asyncio.create_subprocess_exec(
                    command.name,
                    *command.arguments,
                    stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    cwd=cwd,
                    env=env,
                    start_new_session=True,
                    **_switch(user),
                )
                process = Process(command, tag, child, None)
            else:
                process = await _start_in_terminal(command, cwd, env, user, tag, size)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            what = f"fork/exec {command.name}: {reason}"
            raise CannotStart(f"error starting process '{command.name}': {what}") from error
        except ValueError as error:
            raise CannotStart(f"error starting process '{command.name}': {error}") from error
        self._processes[process.pid] = process
        process.finished.add_done_callback(lambda _: self._processes.pop(process.pid, None))
        return process

    def all(self) -> list[Process]:
        return [process for process in self._processes.values() if not process.ended]

    def with_tag(self, tag: str) -> Process:
        for process in self.all():
            if process.tag == tag:
                return process
        raise NoSuchProcess(f"process with tag {tag} not found")

    def with_pid(self, pid: int) -> Process:
        found = self._processes.get(pid)
        if found is None or found.ended:
            raise NoSuchProcess(f"process with pid {pid} not found")
        return found


async def follow(
    queue: asyncio.Queue[Event], quiet: float, limit: float | None
) -> AsyncGenerator[Event | None, None]:
    """Yield a process's events until it ends, and `None` after so many quiet seconds.

    Raises `asyncio.TimeoutError` after `limit` seconds.
    """
    loop = asyncio.get_running_loop()
    deadline = None if limit is None else loop.time() + limit
    while True:
        left = quiet if deadline is None else deadline - loop.time()
        try:
            event = await asyncio.wait_for(queue.get(), min(quiet, left))
        except asyncio.TimeoutError:
            if deadline is not None and loop.time() >= deadline:
                raise
            yield None
            continue
        yield event
        if isinstance(event, Ended):
            return


async def _start_in_terminal(
    command: Command,
    cwd: str,
    env: dict[str, str],
    user: User,
    tag: str | None,
    size: tuple[int, int],
) -> Process:
    master, slave = os.openpty()
    try:
        columns, rows = size
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.set_blocking(master, False)
        if _switch(user):
            os.fchown(slave, user.uid, user.gid)
        child = await asyncio.create_subprocess_exec(
            command.name,
            *command.arguments,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=cwd,
            env=env,
            start_new_session=True,
            preexec_fn=_take_terminal,
            **_switch(user),
        )
    except BaseException:
        os.close(master)
        raise
    finally:
        os.close(slave)
    return Process(command, tag, child, master)


def _switch(user: User) -> dict[str, Any]:
    """What makes a new process that user's, if it is not ours."""
    if user.uid == os.getuid():
        return {}
    return {"user": user.uid, "group": user.gid, "extra_groups": []}


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            select.select([], [descriptor], [])
