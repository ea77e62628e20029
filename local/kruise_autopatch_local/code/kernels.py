"""IPython kernels: one for each code context, run by jupyter_client.

The lines that `execute` yields are those of E2B's code-interpreter template
(e2b-dev/code-interpreter, template/server) as `e2b_code_interpreter.models.parse_output`
reads them.
"""

from __future__ import annotations

import asyncio
import os
import queue
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable
from typing import Any, Callable

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

from .kernel_setup import SETUP

Line = dict[str, Any]

_START_TIMEOUT = 60
_ABORT_TIMEOUT = 5
# How often a silent execution looks whether its kernel is still there.
_POLL = 0.2

# The representations that the SDK's `Result` knows by a name of their own.
_MIME_NAMES = {
    "text/plain": "text",
    "text/html": "html",
    "text/markdown": "markdown",
    "image/svg+xml": "svg",
    "image/png": "png",
    "image/jpeg": "jpeg",
    "application/pdf": "pdf",
    "text/latex": "latex",
    "application/json": "json",
    "application/javascript": "javascript",
    "e2b/data": "data",
    "e2b/chart": "chart",
}


class _OwnInterpreter(KernelSpecManager):
    """Finds one kernel only: ipykernel in the interpreter that runs this server.

    A `python3` kernel spec of the user's could name any other interpreter.
    """

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


_KERNEL_DIED: Line = {
    "type": "error",
    "name": "UnexpectedEndOfExecution",
    "value": "The kernel died before the execution was finished; "
    "the next execution starts a new one",
    "traceback": "",
}


class Context:
    """A kernel and the lock that keeps its executions one after the other."""

    def __init__(
        self, cwd: str, connection_file: str, environment: Callable[[], dict[str, str]]
    ) -> None:
        self.id = str(uuid.uuid4())
        self.cwd = cwd
        self._connection_file = connection_file
        self._environment = environment
        self._lock = asyncio.Lock()
        self._manager: Any = None
        self._client: Any = None
        self._given_up = False
        self._removed = False

    async def start(self) -> None:
        os.makedirs(os.path.dirname(self._connection_file), mode=0o700, exist_ok=True)
        self._manager = AsyncKernelManager(
            kernel_spec_manager=_OwnInterpreter(), connection_file=self._connection_file
        )
        await self._manager.start_kernel(
            cwd=self.cwd,
            env=self._environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._client = self._manager.client()
        self._client.start_channels()
        await self._client.wait_for_ready(timeout=_START_TIMEOUT)
        await self._run_silently(SETUP)

    async def restart(self) -> None:
        """End what is running, and go on with a new kernel."""
        await self._end_execution(self._renew)

    async def remove(self) -> None:
        """Stop for good: an execution that is still waiting must not start a new kernel."""
        self._removed = True
        await self._end_execution(self._stop)

    async def _end_execution(self, then: Callable[[], Awaitable[None]]) -> None:
        self._given_up = True
        try:
            # A client that does not read its reply may keep the lock; it is not waited for.
            await asyncio.wait_for(self._lock.acquire(), _ABORT_TIMEOUT)
        except asyncio.TimeoutError:
            self._given_up = False
            await then()
            return
        try:
            self._given_up = False
            await then()
        finally:
            self._lock.release()

    async def _renew(self) -> None:
        await self._stop()
        if not self._removed:
            await self.start()

    async def _stop(self) -> None:
        if self._client is not None:
            self._client.stop_channels()
            self._client = None
        if self._manager is not None:
            manager, self._manager = self._manager, None
            await manager.shutdown_kernel(now=True)

    async def execute(self, code: str, env: dict[str, str]) -> AsyncGenerator[Line, None]:
        """Run code and yield what comes out, line by line of the HTTP reply."""
        async with self._lock:
            if self._client is None or not await self._manager.is_alive():
                await self._renew()
            if self._removed:
                yield _KERNEL_DIED
                return
            if env:
                await self._run_silently(f"__import__('_kruise_local').use({env!r})")
            finished = False
            try:
                async for message in self._run(code, silent=False):
                    line = _line(message)
                    if line is not None:
                        yield line
                finished = True
            except _KernelDied:
                finished = True
                env = {}
                yield _KERNEL_DIED
            finally:
                if not finished:
                    # The client left (for example at its timeout): as on the template, what
                    # it started must not hold up the next execution.
                    await self._abort()
                if env:
                    await self._run_silently("__import__('_kruise_local').restore()")
            yield {"type": "end_of_execution"}

    async def _abort(self) -> None:
        if self._client is None or self._removed:
            return
        await self._manager.interrupt_kernel()
        deadline = time.monotonic() + _ABORT_TIMEOUT
        while time.monotonic() < deadline:
            try:
                message = await self._client.get_iopub_msg(timeout=0.5)
            except queue.Empty:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return
        await self._renew()

    async def _run_silently(self, code: str) -> None:
        try:
            async for _ in self._run(code, silent=True):
                pass
        except _KernelDied:
            pass

    async def _run(self, code: str, silent: bool) -> AsyncGenerator[dict[str, Any], None]:
        client = self._client
        if client is None:
            raise _KernelDied
        message_id = client.execute(
            code, silent=silent, store_history=not silent, allow_stdin=False
        )
        while True:
            if self._given_up or self._client is not client:
                raise _KernelDied
            try:
                message = await client.get_iopub_msg(timeout=_POLL)
            except queue.Empty:
                if self._client is not client or not await self._manager.is_alive():
                    raise _KernelDied from None
                continue
            if message["parent_header"].get("msg_id") != message_id:
                continue
            if message["msg_type"] == "status":
                if message["content"]["execution_state"] == "idle":
                    return
                continue
            yield message


class _KernelDied(Exception):
    pass


class Kernels:
    """The contexts of one sandbox. The default one is started when it is first needed."""

    def __init__(
        self, directory: str, home: str, environment: Callable[[], dict[str, str]]
    ) -> None:
        self._directory = directory
        self._home = home
        self._environment = environment
        self._contexts: dict[str, Context] = {}
        self._default: str | None = None
        self._starting = asyncio.Lock()

    async def default(self) -> Context:
        async with self._starting:
            if self._default is None:
                self._default = (await self.create(self._home)).id
            return self._contexts[self._default]

    async def create(self, cwd: str) -> Context:
        name = os.path.join(self._directory, f"{uuid.uuid4().hex}.json")
        context = Context(cwd, name, self._environment)
        try:
            await context.start()
        except BaseException:
            await context.remove()
            raise
        self._contexts[context.id] = context
        return context

    def all(self) -> list[Context]:
        return list(self._contexts.values())

    def get(self, context_id: str) -> Context | None:
        return self._contexts.get(context_id)

    async def remove(self, context: Context) -> None:
        del self._contexts[context.id]
        if self._default == context.id:
            self._default = None
        await context.remove()

    async def close(self) -> None:
        for context in self.all():
            await self.remove(context)


def _line(message: dict[str, Any]) -> Line | None:
    kind, content = message["msg_type"], message["content"]
    if kind == "stream":
        # Nanoseconds, as the SDK's OutputMessage documents its timestamp.
        return {"type": content["name"], "text": content["text"], "timestamp": time.time_ns()}
    if kind in ("display_data", "execute_result"):
        return _result(content["data"], is_main=kind == "execute_result")
    if kind == "error":
        return {
            "type": "error",
            "name": content["ename"],
            "value": content["evalue"],
            "traceback": "\n".join(content["traceback"]),
        }
    if kind == "execute_input":
        return {"type": "number_of_executions", "execution_count": content["execution_count"]}
    return None


def _result(data: dict[str, Any], is_main: bool) -> Line:
    line: Line = {"type": "result", "is_main_result": is_main}
    extra = {}
    for mime, value in data.items():
        if mime in _MIME_NAMES:
            line[_MIME_NAMES[mime]] = value
        else:
            extra[mime] = value
    text = line.get("text")
    # The template shows a plain string without its quotes.
    if isinstance(text, str) and len(text) > 1 and text[0] == text[-1] == "'":
        line["text"] = text[1:-1]
    if extra:
        line["extra"] = extra
    return line
