"""Real processes of a sandbox: started, listened to, written to, signalled, ended.

Every process leads a session of its own, so that a signal reaches what it started as well.
Output is handed to every listener without a limit; a listener that never reads costs memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import select
import signal
import struct
import termios
from collections.abc import AsyncGenerator
from typing import Any

from .connect_protocol import ConnectError
from .envd_messages import MESSAGES

Event = Any
"""A `process.ProcessEvent`."""

_event = MESSAGES["process.ProcessEvent"]
_CHUNK = 32 * 1024


class Process:
    """One running process and those who listen to it."""

    def __init__(
        self, config: Any, tag: str | None, child: asyncio.subprocess.Process, pty: int | None
    ) -> None:
        self.config = config
        self.tag = tag
        self.pid = child.pid
        self.has_stdin = child.stdin is not None
        self._child = child
        self._pty = pty
        self._listeners: set[asyncio.Queue[Event]] = set()
        self._end: Event | None = None
        self.finished: asyncio.Task[None] = asyncio.ensure_future(self._run())

    @property
    def ended(self) -> bool:
        return self._end is not None

    def listen(self) -> asyncio.Queue[Event]:
        """A queue of the events from now on; the last one is the end event."""
        queue: asyncio.Queue[Event] = asyncio.Queue()
        if self._end is not None:
            queue.put_nowait(self._end)
        self._listeners.add(queue)
        return queue

    def forget(self, queue: asyncio.Queue[Event]) -> None:
        self._listeners.discard(queue)

    async def write(self, data: bytes, to_pty: bool) -> None:
        """Send input, as envd does: to the terminal or to stdin, never to the other one."""
        if to_pty:
            if self._pty is None:
                raise ConnectError("failed_precondition", "tty not assigned to process")
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, _write_all, self._pty, data)
            return
        stdin = self._child.stdin
        if stdin is None or stdin.is_closing():
            raise ConnectError("failed_precondition", "stdin not enabled or closed")
        try:
            stdin.write(data)
            await stdin.drain()
        except OSError as error:
            raise ConnectError("failed_precondition", f"error writing to stdin: {error}") from error

    def close_stdin(self) -> None:
        if self._pty is not None:
            raise ConnectError("failed_precondition", "cannot close stdin of a terminal")
        if self._child.stdin is None:
            raise ConnectError("failed_precondition", "stdin not enabled or closed")
        self._child.stdin.close()

    def resize(self, columns: int, rows: int) -> None:
        if self._pty is None:
            raise ConnectError("failed_precondition", "tty not assigned to process")
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
        self._end = _event(end=_end_event(code))
        self._tell(self._end)

    def _tell(self, event: Event) -> None:
        for queue in self._listeners:
            queue.put_nowait(event)

    async def _read(self, stream: asyncio.StreamReader, name: str) -> None:
        while True:
            data = await stream.read(_CHUNK)
            if not data:
                return
            self._tell(_event(data={name: data}))

    async def _read_pty(self, master: int) -> None:
        loop = asyncio.get_running_loop()
        closed = loop.create_future()

        def readable() -> None:
            try:
                data = os.read(master, _CHUNK)
            except BlockingIOError:
                return
            except OSError:  # EIO is how Linux says that nobody holds the terminal any more.
                data = b""
            if data:
                self._tell(_event(data={"pty": data}))
            else:
                loop.remove_reader(master)
                if not closed.done():
                    closed.set_result(None)

        loop.add_reader(master, readable)
        try:
            await closed
        finally:
            loop.remove_reader(master)


class ProcessTable:
    """The processes that one sandbox's envd has started and that still run."""

    def __init__(self) -> None:
        self._processes: dict[int, Process] = {}

    async def start(
        self,
        config: Any,
        *,
        cwd: str,
        env: dict[str, str],
        tag: str | None,
        stdin: bool,
        size: tuple[int, int] | None,
    ) -> Process:
        """Start a process; `size` is that of its terminal (columns, rows), if it has one."""
        argv = [config.cmd, *config.args]
        try:
            if size is None:
                child = await asyncio.create_subprocess_exec(
                    *argv,
                    stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    cwd=cwd,
                    env=env,
                    start_new_session=True,
                )
                process = Process(config, tag, child, None)
            else:
                process = await _start_in_terminal(config, argv, cwd, env, tag, size)
        except (OSError, ValueError) as error:
            raise ConnectError(
                "invalid_argument", f"error starting process '{config.cmd}': {error}"
            ) from error
        self._processes[process.pid] = process
        process.finished.add_done_callback(lambda _: self._processes.pop(process.pid, None))
        return process

    def all(self) -> list[Process]:
        return [process for process in self._processes.values() if not process.ended]

    def find(self, selector: Any) -> Process:
        if selector.WhichOneof("selector") == "tag":
            for process in self.all():
                if process.tag == selector.tag:
                    return process
            raise ConnectError("not_found", f"process with tag {selector.tag} not found")
        found = self._processes.get(selector.pid)
        if found is None or found.ended:
            raise ConnectError("not_found", f"process with pid {selector.pid} not found")
        return found

    async def kill_all(self) -> None:
        processes = self.all()
        for process in processes:
            process.signal(signal.SIGKILL)
        for process in processes:
            # A grandchild that fled into another session may still hold the pipes.
            try:
                await asyncio.wait_for(asyncio.shield(process.finished), 1)
            except asyncio.TimeoutError:
                process.finished.cancel()


async def follow(queue: asyncio.Queue[Event], keepalive: float) -> AsyncGenerator[Event, None]:
    """Yield a process's events until it ends, with a sign of life in quiet times."""
    while True:
        try:
            event = await asyncio.wait_for(queue.get(), keepalive)
        except asyncio.TimeoutError:
            event = _event(keepalive={})
        yield event
        if event.HasField("end"):
            return


async def _start_in_terminal(
    config: Any,
    argv: list[str],
    cwd: str,
    env: dict[str, str],
    tag: str | None,
    size: tuple[int, int],
) -> Process:
    master, slave = os.openpty()
    try:
        columns, rows = size
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.set_blocking(master, False)
        child = await asyncio.create_subprocess_exec(
            *argv,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=cwd,
            env=env,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
    except BaseException:
        os.close(master)
        raise
    finally:
        os.close(slave)
    return Process(config, tag, child, master)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            select.select([], [descriptor], [])


def _end_event(returncode: int) -> Any:
    """Say how a process ended in the words of Go's `os.ProcessState`, as envd does."""
    end = MESSAGES["process.ProcessEvent.EndEvent"]
    if returncode >= 0:
        status = f"exit status {returncode}"
        error = {"error": status} if returncode else {}
        return end(exit_code=returncode, exited=True, status=status, **error)
    status = f"signal: {_GO_SIGNALS.get(-returncode, f'signal {-returncode}')}"
    return end(exit_code=-1, exited=False, status=status, error=status)


_GO_SIGNALS: dict[int, str] = {
    signal.SIGHUP: "hangup",
    signal.SIGINT: "interrupt",
    signal.SIGQUIT: "quit",
    signal.SIGABRT: "aborted",
    signal.SIGKILL: "killed",
    signal.SIGSEGV: "segmentation fault",
    signal.SIGPIPE: "broken pipe",
    signal.SIGTERM: "terminated",
}
