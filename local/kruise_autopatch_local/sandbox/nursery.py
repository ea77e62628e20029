"""A process that forks one more for each sandbox.

Importing what an agent needs takes half a second of a processor and thirty megabytes. Here it
happens once: the nursery is forked from the manager before its first thread, imports while the
manager goes on, and forks again for each sandbox, in milliseconds and from memory that all of them
share.

Namespaces are made by `unshare` (see `isolation`). An agent only enters those of its sandbox,
as `nsenter` does.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

from ..plan import Plan

Serve = Callable[[Plan, socket.socket, socket.socket, socket.socket], None]
"""What an agent does: with its plan, its two listening sockets, and its lifeline."""

_LENGTH = struct.Struct("!I")
_NAMESPACES = ("user", "pid", "mnt")


class NurseryError(RuntimeError):
    """No agent could be started."""


class Nursery:
    """The manager's side. It may be used by several threads."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._one_at_a_time = threading.Lock()

    @classmethod
    def start(cls, load: Callable[[], Serve]) -> Nursery:
        """Fork the nursery, which then loads an agent. No thread may have been started yet."""
        ours, theirs = socket.socketpair()
        if os.fork() == 0:
            _be_the_nursery(ours, theirs, load)
        theirs.close()
        return cls(ours)

    def raise_one(
        self,
        plan: Plan,
        envd: socket.socket,
        code: socket.socket,
        lifeline: socket.socket,
        first_process: int | None,
        directory: str,
    ) -> None:
        """Start an agent, in the namespaces of `first_process` if there is one."""
        order = json.dumps([plan.to_json(), first_process, directory]).encode()
        descriptors = [envd.fileno(), code.fileno(), lifeline.fileno()]
        with self._one_at_a_time:
            try:
                socket.send_fds(self._control, [_LENGTH.pack(len(order))], descriptors)
                self._control.sendall(order)
                answer = _receive(self._control, _LENGTH.unpack(_receive(self._control, 4))[0])
            except (OSError, EOFError) as error:
                raise NurseryError(f"the nursery has gone: {error}") from error
        if answer:
            raise NurseryError(answer.decode())

    def close(self) -> None:
        self._control.close()


def _receive(control: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length:
        data = control.recv(length - len(received))
        if not data:
            raise EOFError("it closed its end")
        received += data
    return received


def _be_the_nursery(
    managers: socket.socket, control: socket.socket, load: Callable[[], Serve]
) -> NoReturn:
    managers.close()
    try:
        _run(control, load)
    finally:
        os._exit(0)


def _run(control: socket.socket, load: Callable[[], Serve]) -> None:
    # Ctrl-C is for the manager alone, and nobody is to wait for our children.
    os.setsid()
    serve, missing = None, b""
    try:
        serve = load()
    except ImportError as error:
        missing = f"{error}; install it anew: pip install kruise-autopatch-local".encode()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # What is there now is not to be touched, and so not to be copied, by a child's collector.
    gc.freeze()
    while True:
        header, descriptors, _, _ = socket.recv_fds(control, _LENGTH.size, 3)
        if not header:
            return
        order = json.loads(_receive(control, _LENGTH.unpack(header)[0]))
        answer = missing
        try:
            if serve is not None and os.fork() == 0:
                _be_an_agent(control, serve, descriptors, *order)
        except OSError as error:
            answer = f"cannot start a process: {error.strerror}".encode()
        for descriptor in descriptors:
            os.close(descriptor)
        control.sendall(_LENGTH.pack(len(answer)) + answer)


def _be_an_agent(
    control: socket.socket,
    serve: Serve,
    descriptors: list[int],
    plan: str,
    first_process: int | None,
    directory: str,
) -> NoReturn:
    try:
        control.close()
        _serve(serve, descriptors, plan, first_process, directory)
    finally:
        os._exit(1)


def _serve(
    serve: Serve, descriptors: list[int], plan: str, first_process: int | None, directory: str
) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if first_process is not None:
        _enter(first_process, descriptors)
    os.setsid()
    os.umask(0o022)
    os.chdir(directory)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    envd, code, lifeline = (socket.socket(fileno=descriptor) for descriptor in descriptors)
    try:
        serve(Plan.from_json(plan), envd, code, lifeline)
    except BaseException:
        import traceback

        traceback.print_exc()
        raise


# It ends in another mount namespace, where nothing that measures it could leave its figures.
def _enter(first_process: int, descriptors: list[int]) -> None:  # pragma: no cover
    """Go on as a child in the namespaces of another process."""
    own = {name: os.readlink(f"/proc/self/ns/{name}") for name in _NAMESPACES}
    opened: dict[str, int] = {}
    for name in _NAMESPACES:
        path = f"/proc/{first_process}/ns/{name}"
        if os.readlink(path) != own[name]:
            opened[name] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    if "pid" not in opened:
        # Its sandbox has ended, and its number is another process's: an agent that signals all
        # that it sees must not see this machine's processes.
        raise ProcessLookupError(f"process {first_process} is in no namespace of a sandbox")
    for namespace in opened.values():
        _setns(namespace)
        os.close(namespace)
    child = os.fork()
    if child:
        # Only a child is in the new PID namespace, and it needs a parent that waits for it.
        for descriptor in descriptors:
            os.close(descriptor)
        os.waitpid(child, 0)
        os._exit(0)


def _setns(namespace: int) -> None:  # pragma: no cover
    if sys.version_info >= (3, 12):
        os.setns(namespace)
        return
    libc: Any = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
