"""The RPCs of `process.Process`, after e2b-dev/infra, packages/envd/internal/services."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from ..sandbox.paths import PathEscapes
from ..sandbox.processes import (
    CannotStart,
    Command,
    Ended,
    Event,
    NoSuchProcess,
    NotPossible,
    Process,
    ProcessError,
    follow,
)
from ..sandbox.sandboxes import Sandbox
from .connect_protocol import Call, ConnectError, Method
from .filesystem_rpcs import keepalive_interval
from .messages import MESSAGES

_CODES: dict[type[ProcessError], str] = {
    CannotStart: "invalid_argument",
    NoSuchProcess: "not_found",
    NotPossible: "failed_precondition",
}

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


@contextmanager
def _in_connects_words() -> Iterator[None]:
    try:
        yield
    except ProcessError as error:
        raise ConnectError(_CODES[type(error)], str(error)) from error


async def _list(sandbox: Sandbox, request: Any, call: Call) -> Any:
    reply = MESSAGES["process.ListResponse"]()
    for process in sandbox.processes.all():
        command = process.command
        config = {
            "cmd": command.name,
            "args": command.arguments,
            "envs": command.environment,
            "cwd": command.directory,
        }
        info = reply.processes.add(pid=process.pid, config=config)
        if process.tag is not None:
            info.tag = process.tag
    return reply


async def _start(sandbox: Sandbox, request: Any, call: Call) -> AsyncGenerator[Any, None]:
    config = request.process
    command = Command(
        config.cmd,
        list(config.args),
        dict(config.envs),
        config.cwd if config.HasField("cwd") else None,
    )
    with _in_connects_words():
        process = await sandbox.processes.start(
            command,
            cwd=_cwd(sandbox, config.cwd),
            env={**sandbox.process_environment(), **command.environment},
            tag=request.tag if request.HasField("tag") else None,
            # envd opens stdin unless it is told not to.
            stdin=request.stdin if request.HasField("stdin") else True,
            size=(request.pty.size.cols, request.pty.size.rows)
            if request.HasField("pty")
            else None,
        )
    if call.timeout is not None:
        # The command's time is the call's time, and it runs out for both (envd, start.go).
        # It also runs out if the client has disconnected in the meantime.
        limit = asyncio.get_running_loop().call_later(call.timeout, process.signal, signal.SIGKILL)
        process.finished.add_done_callback(lambda _: limit.cancel())
    async for event in _events(process, call):
        yield MESSAGES["process.StartResponse"](event=event)


async def _connect(sandbox: Sandbox, request: Any, call: Call) -> AsyncGenerator[Any, None]:
    process = _find(sandbox, request.process)
    async for event in _events(process, call):
        yield MESSAGES["process.ConnectResponse"](event=event)


async def _events(process: Process, call: Call) -> AsyncGenerator[Any, None]:
    """The start event, then what follows, until the end or the call's deadline."""
    loop = asyncio.get_running_loop()
    deadline = None if call.timeout is None else loop.time() + call.timeout
    queue = process.listen()
    events = follow(queue, keepalive_interval(call))
    try:
        yield MESSAGES["process.ProcessEvent"](start={"pid": process.pid})
        while True:
            left = None if deadline is None else deadline - loop.time()
            try:
                event = await asyncio.wait_for(events.__anext__(), left)
            except StopAsyncIteration:
                return
            except asyncio.TimeoutError:
                raise ConnectError("deadline_exceeded", "the call's deadline has passed") from None
            yield _message(event)
    finally:
        process.forget(queue)
        await events.aclose()


async def _update(sandbox: Sandbox, request: Any, call: Call) -> Any:
    process = _find(sandbox, request.process)
    if request.HasField("pty"):
        with _in_connects_words():
            process.resize(request.pty.size.cols, request.pty.size.rows)
    return MESSAGES["process.UpdateResponse"]()


async def _send_input(sandbox: Sandbox, request: Any, call: Call) -> Any:
    await _write(_find(sandbox, request.process), request.input)
    return MESSAGES["process.SendInputResponse"]()


async def _stream_input(sandbox: Sandbox, requests: AsyncIterator[Any], call: Call) -> Any:
    process = None
    async for request in requests:
        kind = request.WhichOneof("event")
        if kind == "start":
            process = _find(sandbox, request.start.process)
        elif kind == "data":
            if process is None:
                raise ConnectError("invalid_argument", "the first message must be a start event")
            await _write(process, request.data.input)
    return MESSAGES["process.StreamInputResponse"]()


async def _send_signal(sandbox: Sandbox, request: Any, call: Call) -> Any:
    if request.signal not in (signal.SIGTERM, signal.SIGKILL):
        raise ConnectError("unimplemented", f"signal {request.signal} is not supported")
    _find(sandbox, request.process).signal(request.signal)
    return MESSAGES["process.SendSignalResponse"]()


async def _close_stdin(sandbox: Sandbox, request: Any, call: Call) -> Any:
    with _in_connects_words():
        _find(sandbox, request.process).close_stdin()
    return MESSAGES["process.CloseStdinResponse"]()


def _find(sandbox: Sandbox, selector: Any) -> Process:
    with _in_connects_words():
        if selector.WhichOneof("selector") == "tag":
            return sandbox.processes.with_tag(selector.tag)
        return sandbox.processes.with_pid(selector.pid)


async def _write(process: Process, given: Any) -> None:
    kind = given.WhichOneof("input")
    if kind is None:
        raise ConnectError("invalid_argument", "the input is neither for stdin nor for a pty")
    with _in_connects_words():
        await process.write(getattr(given, kind), to_pty=kind == "pty")


def _cwd(sandbox: Sandbox, asked: str) -> str:
    try:
        cwd = sandbox.paths.followed(asked or "~")
    except PathEscapes as error:
        raise ConnectError("invalid_argument", str(error)) from error
    if not os.path.isdir(cwd):
        raise ConnectError("invalid_argument", f"cwd '{asked}' does not exist")
    return cwd


def _message(event: Event | None) -> Any:
    kind = MESSAGES["process.ProcessEvent"]
    if event is None:
        return kind(keepalive={})
    if isinstance(event, Ended):
        return kind(end=_end(event))
    return kind(data={event.stream: event.data})


def _end(ended: Ended) -> Any:
    """Say how a process ended in the words of Go's `os.ProcessState`, as envd does."""
    end = MESSAGES["process.ProcessEvent.EndEvent"]
    if ended.exit_code is not None:
        status = f"exit status {ended.exit_code}"
        error = {"error": status} if ended.exit_code else {}
        return end(exit_code=ended.exit_code, exited=True, status=status, **error)
    number = ended.signal or 0
    status = f"signal: {_GO_SIGNALS.get(number, f'signal {number}')}"
    return end(exit_code=-1, exited=False, status=status, error=status)


def _method(name: str, handler: Any, **streams: bool) -> tuple[str, Method]:
    return f"/process.Process/{name}", Method(
        MESSAGES[f"process.{name}Request"], handler, **streams
    )


METHODS: dict[str, Method] = dict(
    (
        _method("List", _list),
        _method("Update", _update),
        _method("SendInput", _send_input),
        _method("SendSignal", _send_signal),
        _method("CloseStdin", _close_stdin),
        _method("Start", _start, server_streams=True),
        _method("Connect", _connect, server_streams=True),
        _method("StreamInput", _stream_input, client_streams=True),
    )
)
