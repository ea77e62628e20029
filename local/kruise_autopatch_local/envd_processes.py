"""The RPCs of `process.Process`, after e2b-dev/infra, packages/envd/internal/services."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from .connect_protocol import Call, ConnectError, Method
from .envd_filesystem import keepalive_interval
from .envd_messages import MESSAGES
from .processes import Process, follow
from .sandbox_paths import PathEscapes
from .sandboxes import Sandbox


def methods(sandbox: Sandbox) -> dict[str, Method]:
    """The process RPCs of one sandbox, by their path."""
    unary = {
        "List": _list,
        "Update": _update,
        "SendInput": _send_input,
        "SendSignal": _send_signal,
        "CloseStdin": _close_stdin,
    }
    streaming = {"Start": _start, "Connect": _connect}
    table = {
        f"/process.Process/{name}": Method(
            MESSAGES[f"process.{name}Request"], functools.partial(handler, sandbox)
        )
        for name, handler in unary.items()
    }
    for name, handler in streaming.items():
        table[f"/process.Process/{name}"] = Method(
            MESSAGES[f"process.{name}Request"],
            functools.partial(handler, sandbox),
            server_streams=True,
        )
    table["/process.Process/StreamInput"] = Method(
        MESSAGES["process.StreamInputRequest"],
        functools.partial(_stream_input, sandbox),
        client_streams=True,
    )
    return table


async def _list(sandbox: Sandbox, request: Any, call: Call) -> Any:
    reply = MESSAGES["process.ListResponse"]()
    for process in sandbox.processes.all():
        info = reply.processes.add(pid=process.pid, config=process.config)
        if process.tag is not None:
            info.tag = process.tag
    return reply


async def _start(sandbox: Sandbox, request: Any, call: Call) -> AsyncGenerator[Any, None]:
    config = request.process
    process = await sandbox.processes.start(
        config,
        cwd=_cwd(sandbox, config.cwd),
        env={**sandbox.process_environment(), **config.envs},
        tag=request.tag if request.HasField("tag") else None,
        # envd opens stdin unless it is told not to.
        stdin=request.stdin if request.HasField("stdin") else True,
        size=(request.pty.size.cols, request.pty.size.rows) if request.HasField("pty") else None,
    )
    if call.timeout is not None:
        # The command's time is the call's time, and it runs out for both (envd, start.go).
        # It also runs out if the client has disconnected in the meantime.
        limit = asyncio.get_running_loop().call_later(call.timeout, process.signal, signal.SIGKILL)
        process.finished.add_done_callback(lambda _: limit.cancel())
    async for event in _events(process, call):
        yield MESSAGES["process.StartResponse"](event=event)


async def _connect(sandbox: Sandbox, request: Any, call: Call) -> AsyncGenerator[Any, None]:
    process = sandbox.processes.find(request.process)
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
            yield event
    finally:
        process.forget(queue)
        await events.aclose()


async def _update(sandbox: Sandbox, request: Any, call: Call) -> Any:
    process = sandbox.processes.find(request.process)
    if request.HasField("pty"):
        process.resize(request.pty.size.cols, request.pty.size.rows)
    return MESSAGES["process.UpdateResponse"]()


async def _send_input(sandbox: Sandbox, request: Any, call: Call) -> Any:
    await _write(sandbox.processes.find(request.process), request.input)
    return MESSAGES["process.SendInputResponse"]()


async def _stream_input(sandbox: Sandbox, requests: AsyncIterator[Any], call: Call) -> Any:
    process = None
    async for request in requests:
        kind = request.WhichOneof("event")
        if kind == "start":
            process = sandbox.processes.find(request.start.process)
        elif kind == "data":
            if process is None:
                raise ConnectError("invalid_argument", "the first message must be a start event")
            await _write(process, request.data.input)
    return MESSAGES["process.StreamInputResponse"]()


async def _send_signal(sandbox: Sandbox, request: Any, call: Call) -> Any:
    if request.signal not in (signal.SIGTERM, signal.SIGKILL):
        raise ConnectError("unimplemented", f"signal {request.signal} is not supported")
    sandbox.processes.find(request.process).signal(request.signal)
    return MESSAGES["process.SendSignalResponse"]()


async def _close_stdin(sandbox: Sandbox, request: Any, call: Call) -> Any:
    sandbox.processes.find(request.process).close_stdin()
    return MESSAGES["process.CloseStdinResponse"]()


async def _write(process: Process, given: Any) -> None:
    kind = given.WhichOneof("input")
    if kind is None:
        raise ConnectError("invalid_argument", "the input is neither for stdin nor for a pty")
    await process.write(getattr(given, kind), to_pty=kind == "pty")


def _cwd(sandbox: Sandbox, asked: str) -> str:
    try:
        cwd = sandbox.paths.followed(asked or "~")
    except PathEscapes as error:
        raise ConnectError("invalid_argument", str(error)) from error
    if not os.path.isdir(cwd):
        raise ConnectError("invalid_argument", f"cwd '{asked}' does not exist")
    return cwd
