"""A kernel that ends, is taken away, or cannot be had, while somebody counts on it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.asynchronous.client import AsyncKernelClient

from kruise_autopatch_local.code import kernels
from kruise_autopatch_local.code.kernels import Context, Kernels
from kruise_autopatch_local.streaming import closing
from support import fresh


async def told(context: Context, code: str) -> AsyncGenerator[tuple[str, Any], None]:
    """What an execution yields: each line's kind, and what it is about."""
    async with closing(context.execute(code, {})) as answer:
        async for line in answer:
            if line["type"] not in ("number_of_executions", "keepalive"):
                yield line["type"], line.get("name") or line.get("text")


async def lines(context: Context, code: str) -> list[tuple[str, Any]]:
    return [line async for line in told(context, code)]


async def given_up(context: Context, code: str) -> None:
    """An execution whose client leaves when the first line is there."""
    async with closing(told(context, code)) as answer:
        async for _ in answer:
            return


@asynccontextmanager
async def python(home: str) -> AsyncIterator[Context]:
    """The default context for Python, until the end."""
    context = await Kernels(home, home, lambda: dict(os.environ)).default("python")
    try:
        yield context
    finally:
        await context.remove()


RESTARTED, END = ("error", "ContextRestarting"), ("end_of_execution", None)


def test_a_kernel_that_has_ended_is_replaced_once_that_is_told(tmp_path: Path) -> None:
    async def lived() -> None:
        async with python(str(tmp_path)) as context:
            assert await lines(context, "'one'") == [("result", "one"), END]
            manager = context._manager
            await manager.shutdown_kernel(now=True)
            assert await lines(context, "'two'") == [RESTARTED, END]
            assert await lines(context, "'three'") == [("result", "three"), END]
        assert await lines(context, "'never'") == [RESTARTED]

    asyncio.run(lived())


# Says that it is idle when it is interrupted, and answers nothing any more.
DEAF = """
import asyncio, sys, time
async def never(*anything):
    await asyncio.Event().wait()
get_ipython().kernel.shell_handlers["execute_request"] = never
sys.stdout.write("begun"); sys.stdout.flush()
time.sleep(600)
"""


def test_a_kernel_that_is_deaf_after_an_interrupt_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "_ABORT_TIMEOUT", 2)

    async def lived() -> None:
        async with python(str(tmp_path)) as context:
            await given_up(context, DEAF)
            assert await asyncio.wait_for(lines(context, "'next'"), fresh.PATIENCE) == [
                ("result", "next"),
                END,
            ]

    asyncio.run(lived())


def test_a_kernel_is_asked_when_it_has_replied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ipykernel 7.0 to 7.3 may never read a request that comes amid its reply (issue 1554)."""
    unanswered: set[str] = set()
    asked = []
    execute, get_shell_msg = AsyncKernelClient.execute, AsyncKernelClient.get_shell_msg

    def noted(client: Any, code: str, **options: Any) -> str:
        asked.append((code, set(unanswered)))
        request: str = execute(client, code, **options)
        unanswered.add(request)
        return request

    async def heard(client: Any, *arguments: Any, **options: Any) -> Any:
        reply = await get_shell_msg(client, *arguments, **options)
        unanswered.discard(reply["parent_header"].get("msg_id"))
        return reply

    monkeypatch.setattr(AsyncKernelClient, "execute", noted)
    monkeypatch.setattr(AsyncKernelClient, "get_shell_msg", heard)

    async def lived() -> None:
        async with python(str(tmp_path)) as context:
            assert await lines(context, "x = 41") == [END]
            await given_up(context, "import time\n'begun'; display(1); time.sleep(600)")
            assert await lines(context, "1 / 0") == [("error", "ZeroDivisionError"), END]
            assert await lines(context, "x + 1") == [("result", "42"), END]

    asyncio.run(lived())
    assert len(asked) == 6  # with what sets a kernel up, and what asks whether it is deaf
    assert [early for early in asked if early[1]] == []


def test_a_kernel_that_cannot_be_started(tmp_path: Path) -> None:
    async def asked() -> list[tuple[str, Any]]:
        (tmp_path / "file").write_text("")
        below_a_file = str(tmp_path / "file" / "runtime")
        context = await Kernels(below_a_file, str(tmp_path), dict).default("python")
        return await lines(context, "1")

    assert asyncio.run(asked()) == [("error", "KernelNotStarted"), END]


def test_a_message_without_a_time_has_ours() -> None:
    assert kernels._time({"header": {}}).endswith("+00:00")


def test_a_context_that_is_removed_is_no_default(tmp_path: Path) -> None:
    async def removed() -> tuple[str, str, bool]:
        home = str(tmp_path)
        made = Kernels(home, home, dict)
        first = await made.default("python")
        await made.remove(first)
        second = await made.default("python")
        return first.id, second.id, made.get(first.id) is None

    first, second, gone = asyncio.run(removed())
    assert first != second
    assert gone


def test_there_are_not_more_than_so_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "MOST_KERNELS", 3)
    home = str(tmp_path)

    async def made() -> None:
        contexts = Kernels(home, home, dict)
        while len(contexts.all()) < 3:
            await contexts.create("python", home)
        with pytest.raises(kernels.TooManyKernels):
            await contexts.create("python", home)

    asyncio.run(made())
