"""The RPCs of `process.Process`, after e2b-dev/infra, packages/envd/internal/services."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from ..inside.house import House
from ..inside.processes import (
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
from ..inside.users import User
from ..streaming import closing
from .callers import caller
from .connect_protocol import Call, ConnectError, Method, keepalive_interval
from .messages import MESSAGES

# Seconds.
_GRACE = 0.25

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


async def _list(house: House, request: Any, call: Call) -> Any:
    reply = MESSAGES["process.ListResponse"]()
    for process in house.processes.all():
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


async def _start(house: House, request: Any, call: Call) -> AsyncGenerator[Any, None]:
    user = caller(house, call)
    config = request.process
    command = Command(
        config.cmd,
        list(config.args),
        dict(config.envs),
        config.cwd if config.HasField("cwd") else None,
    )
    with _in_connects_words():
        process = await house.processes.start(
            command,
            cwd=_cwd(house, config.cwd, user),
            env={**house.environment(user), **command.environment},
            user=user,
            tag=request.tag if request.HasField("tag") else None,
            # envd opens stdin unless it is told not to.
            stdin=request.stdin if request.HasField("stdin") else True,
            size=(request.pty.size.cols, request.pty.size.rows)
            if request.HasField("pty")
            else None,
        )
    if call.timeout is not None:
        # The command's time is the call's time, and it runs out for both (envd, start.go), also if
        # the client has disconnected in the meantime. The call is told first that it was too late.
        loop = asyncio.get_running_loop()
        limit = loop.call_later(call.timeout + _GRACE, process.signal, signal.SIGKILL)
        process.finished.add_done_callback(lambda _: limit.cancel())
    async with closing(_events(process, call)) as events:
        async for event in events:
            yield MESSAGES["process.StartResponse"](event=event)


async def _connect(house: House, request: Any, call: Call) -> AsyncGenerator[Any, None]:
    process = _find(house, request.process)
    async with closing(_events(process, call)) as events:
        async for event in events:
            yield MESSAGES["process.ConnectResponse"](event=event)


async def _events(process: Process, call: Call) -> AsyncGenerator[Any, None]:
    """The start event, then what follows, until the end or the call's deadline."""
    queue = process.listen()
    try:
        yield MESSAGES["process.ProcessEvent"](start={"pid": process.pid})
        async with closing(follow(queue, keepalive_interval(call), call.timeout)) as events:
            async for event in events:
                yield _message(event)
    except asyncio.TimeoutError:
        raise ConnectError("deadline_exceeded", "context deadline exceeded") from None
    finally:
        process.forget(queue)


async def _update(house: House, request: Any, call: Call) -> Any:
    process = _find(house, request.process)
    if request.HasField("pty"):
        with _in_connects_words():
            process.resize(request.pty.size.cols, request.pty.size.rows)
    return MESSAGES["process.UpdateResponse"]()


async def _send_input(house: House, request: Any, call: Call) -> Any:
    await _write(_find(house, request.process), request.input)
    return MESSAGES["process.SendInputResponse"]()


async def _stream_input(house: House, requests: AsyncIterator[Any], call: Call) -> Any:
    process = None
    async for request in requests:
        kind = request.WhichOneof("event")
        if kind == "start":
            process = _find(house, request.start.process)
        elif kind == "data":
            if process is None:
                raise ConnectError("invalid_argument", "the first message must be a start event")
            await _write(process, request.data.input)
    return MESSAGES["process.StreamInputResponse"]()


async def _send_signal(house: House, request: Any, call: Call) -> Any:
    process = _find(house, request.process)
    if request.signal not in (signal.SIGTERM, signal.SIGKILL):
        raise ConnectError("unimplemented", f"invalid signal: {request.signal}")
    process.signal(request.signal)
    if request.signal == signal.SIGKILL and not process.has_terminal:
        # Whoever has been told that it is killed is not to find it again.
        await asyncio.wait({process.finished}, timeout=_GRACE)
    return MESSAGES["process.SendSignalResponse"]()


def _find(house: House, selector: Any) -> Process:
    kind = selector.WhichOneof("selector")
    if kind is None:
        raise ConnectError("unimplemented", "invalid input type *process.ProcessSelector")
    with _in_connects_words():
        if kind == "tag":
            return house.processes.with_tag(selector.tag)
        return house.processes.with_pid(selector.pid)


async def _write(process: Process, given: Any) -> None:
    kind = given.WhichOneof("input")
    if kind is None:
        raise ConnectError("invalid_argument", "the input is neither for stdin nor for a pty")
    with _in_connects_words():
        await process.write(getattr(given, kind), to_pty=kind == "pty")


def _cwd(house: House, asked: str, user: User) -> str:
    cwd = house.resolve(asked, user)
    if not os.path.isdir(cwd):
        raise ConnectError("invalid_argument", f"cwd '{cwd}' does not exist")
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
        _method("Start", _start, server_streams=True),
        _method("Connect", _connect, server_streams=True),
        _method("StreamInput", _stream_input, client_streams=True),
    )
)
