"""Kernels: one for each code context, run by jupyter_client.

The lines that `execute` yields are those of E2B's code-interpreter template
(e2b-dev/code-interpreter, template/server) as `e2b_code_interpreter.models.parse_output`
reads them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import subprocess
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable
from datetime import datetime, timezone
from typing import Any, Callable

from jupyter_client.manager import AsyncKernelManager

from ..streaming import closing
from .kernel_setup import SETUP
from .languages import PYTHON, NoSuchLanguage, canonical, kernel_for, kernelspecs

Line = dict[str, Any]

# Kernels that a sandbox may have: each one takes the memory of a Python of its own.
MOST_KERNELS = 32

# Seconds; a throttled Pod may need some minutes. That it has ended is noticed at once.
_START_TIMEOUT = 300
_ABORT_TIMEOUT = 5
# How often a silent execution looks whether its kernel is still there.
_POLL = 0.2
# After so many silent seconds the template sends a sign of life.
_KEEPALIVE = 5.0

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


def _error(name: str, value: str) -> Line:
    return {"type": "error", "name": name, "value": value, "traceback": ""}


_RESTARTED = _error("ContextRestarting", "Context was restarted")


class Context:
    """A kernel and the lock that keeps its executions one after the other.

    The kernel is started by the first execution.
    """

    def __init__(
        self,
        language: str,
        cwd: str,
        connection_file: str,
        environment: Callable[[], dict[str, str]],
    ) -> None:
        self.id = str(uuid.uuid4())
        self.language = language
        self.cwd = cwd
        self._kernel_name = kernel_for(language)
        self._connection_file = connection_file
        self._environment = environment
        self._lock = asyncio.Lock()
        self._manager: Any = None
        self._client: Any = None
        # So many has the kernel begun.
        self._executions = 0
        # The request that it was sent last.
        self._asked = ""
        self._given_up = False
        self._removed = False

    async def _start(self) -> None:
        os.makedirs(os.path.dirname(self._connection_file), mode=0o700, exist_ok=True)
        self._manager = AsyncKernelManager(
            kernel_name=self._kernel_name,
            kernel_spec_manager=kernelspecs(),
            connection_file=self._connection_file,
        )
        environment = self._environment()
        await self._manager.start_kernel(
            cwd=self.cwd if os.path.isdir(self.cwd) else environment["HOME"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._executions = 0
        self._client = self._manager.client()
        self._client.start_channels()
        await self._client.wait_for_ready(timeout=_START_TIMEOUT)
        if self.language == PYTHON:
            await self._run_silently(SETUP)

    async def restart(self) -> None:
        """End what is running, and go on with a new kernel."""
        await self._end_execution(self._stop)

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
            if self._client is not None and not await self._manager.is_alive():
                # It ended since the last execution, by `exit()`.
                await self._stop()
                yield _RESTARTED
                yield {"type": "end_of_execution"}
                return
            if self._removed:
                yield _RESTARTED
                return
            if self._client is None:
                try:
                    await self._start()
                except (OSError, RuntimeError) as error:
                    await self._stop()
                    yield _error("KernelNotStarted", str(error))
                    yield {"type": "end_of_execution"}
                    return
            if env and self.language == PYTHON:
                await self._run_silently(f"__import__('_kruise_local').use({env!r})")
            finished = False
            number = self._executions + 1
            try:
                async with closing(self._run(code, silent=False)) as messages:
                    async for message in messages:
                        if message is None:
                            yield {"type": "keepalive"}
                            continue
                        self._notice(message)
                        line = _line(message)
                        if line is not None:
                            yield line
                finished = True
            except _KernelDied:
                finished = True
                env = {}
                if self._executions < number:
                    # The kernel has said so, as its first word, but had no time to send it.
                    yield _numbered(number)
                await self._stop()
                yield _RESTARTED
            finally:
                if not finished:
                    # The client left (for example at its timeout): what it started must not hold
                    # up the next execution.
                    await self._abort(number)
                if env and self.language == PYTHON:
                    await self._run_silently("__import__('_kruise_local').restore()")
            yield {"type": "end_of_execution"}

    def _notice(self, message: dict[str, Any]) -> None:
        """Count the executions that have begun."""
        if message["msg_type"] == "execute_input":
            self._executions = message["content"]["execution_count"]

    async def _abort(self, number: int) -> None:
        """End an execution: its kernel is interrupted, and answers again, or is stopped."""
        if self._client is None or self._removed:
            return
        try:
            await asyncio.wait_for(self._interrupt(number), _ABORT_TIMEOUT)
        except asyncio.TimeoutError:
            await self._stop()

    async def _interrupt(self, number: int) -> None:
        client = self._client
        # A kernel ignores what comes before it has begun.
        while self._executions < number:
            self._notice(await client.get_iopub_msg())
        await self._manager.interrupt_kernel()
        await self._replied(client, self._asked)
        # It has said that it is done, which is no sign that it hears what comes next.
        await self._run_silently("")

    async def _run_silently(self, code: str) -> None:
        with contextlib.suppress(_KernelDied):
            async for _ in self._run(code, silent=True):
                pass

    async def _run(self, code: str, silent: bool) -> AsyncGenerator[dict[str, Any] | None, None]:
        """The kernel's messages about an execution; `None` is a sign of life."""
        client = self._client
        if client is None:
            raise _KernelDied
        # After an error a kernel drops, for a moment, whatever comes: here, the next execution.
        message_id = client.execute(
            code,
            silent=silent,
            store_history=not silent,
            allow_stdin=False,
            stop_on_error=False,
        )
        self._asked = message_id
        last = time.monotonic()
        while True:
            if self._given_up or self._client is not client:
                raise _KernelDied
            try:
                message = await client.get_iopub_msg(timeout=_POLL)
            except queue.Empty:
                if self._client is not client or not await self._manager.is_alive():
                    raise _KernelDied from None
                if time.monotonic() - last >= _KEEPALIVE:
                    last = time.monotonic()
                    yield None
                continue
            if message["parent_header"].get("msg_id") != message_id:
                continue
            if message["msg_type"] == "status":
                if message["content"]["execution_state"] == "idle":
                    await self._replied(client, message_id)
                    return
                continue
            last = time.monotonic()
            yield message

    async def _replied(self, client: Any, message_id: str) -> None:
        """Wait for the reply to a request; it comes beside the messages, or not if the kernel ends.

        ipykernel 7.0 to 7.3 may never read a request that comes amid its reply (its issue 1554).
        """
        while self._client is client:
            try:
                reply = await client.get_shell_msg(timeout=_POLL)
            except queue.Empty:
                if self._client is not client or not await self._manager.is_alive():
                    return
            else:
                if reply["parent_header"].get("msg_id") == message_id:
                    return


class _KernelDied(Exception):
    pass


class TooManyKernels(Exception):
    """A sandbox has as many kernels as it may have."""


class Kernels:
    """The contexts of one sandbox: a default one for each language, and those made later."""

    def __init__(
        self, directory: str, home: str, environment: Callable[[], dict[str, str]]
    ) -> None:
        self.home = home
        self._directory = directory
        self._environment = environment
        self._contexts: dict[str, Context] = {}
        self._defaults: dict[str, str] = {}
        # The template starts with these two.
        for language in (PYTHON, "javascript"):
            with contextlib.suppress(NoSuchLanguage):
                self._make_default(language)

    async def default(self, language: str) -> Context:
        """The default context of a language. Raises `NoSuchLanguage`."""
        name = canonical(language)
        if name not in self._defaults:
            self._make_default(name)
        return self._contexts[self._defaults[name]]

    async def create(self, language: str, cwd: str) -> Context:
        """A new context. Raises `NoSuchLanguage`."""
        return self._make(canonical(language), cwd)

    def all(self) -> list[Context]:
        return list(self._contexts.values())

    def get(self, context_id: str) -> Context | None:
        return self._contexts.get(context_id)

    async def remove(self, context: Context) -> None:
        self._contexts.pop(context.id, None)
        for language, context_id in list(self._defaults.items()):
            if context_id == context.id:
                del self._defaults[language]
        await context.remove()

    def _make_default(self, language: str) -> None:
        self._defaults[language] = self._make(language, self.home).id

    def _make(self, language: str, cwd: str) -> Context:
        if len(self._contexts) >= MOST_KERNELS:
            raise TooManyKernels
        name = os.path.join(self._directory, f"{uuid.uuid4().hex}.json")
        context = Context(language, cwd, name, self._environment)
        self._contexts[context.id] = context
        return context


def _line(message: dict[str, Any]) -> Line | None:
    kind, content = message["msg_type"], message["content"]
    if kind == "stream":
        return {"type": content["name"], "text": content["text"], "timestamp": _time(message)}
    if kind in ("display_data", "execute_result"):
        return _result(content["data"], is_main=kind == "execute_result")
    if kind == "error":
        return {
            "type": "error",
            "name": content["ename"],
            "value": content["evalue"],
            "traceback": "".join(content["traceback"]),
        }
    if kind == "execute_input":
        return _numbered(content["execution_count"])
    return None


def _numbered(number: int) -> Line:
    return {"type": "number_of_executions", "execution_count": number}


def _time(message: dict[str, Any]) -> str:
    sent = message["header"].get("date")
    if not isinstance(sent, datetime):
        sent = datetime.now(timezone.utc)
    return sent.isoformat()


def _result(data: dict[str, Any], is_main: bool) -> Line:
    line: Line = {"type": "result"}
    extra = {}
    for mime, value in data.items():
        if mime in _MIME_NAMES:
            line[_MIME_NAMES[mime]] = value
        else:
            extra[mime] = value
    text = line.get("text")
    # The template shows a plain string without its quotes, whichever they are.
    if isinstance(text, str) and len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        line["text"] = text[1:-1]
    return {**line, "extra": extra, "is_main_result": is_main}
