"""A kernel that ends, is taken away, or cannot be had, while somebody counts on it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from kruise_autopatch_local.code import kernels
from kruise_autopatch_local.code.kernels import Context, Kernels


async def lines(context: Context, code: str) -> list[tuple[str, Any]]:
    """What an execution yields: each line's kind, and what it is about."""
    return [
        (line["type"], line.get("name") or line.get("text"))
        async for line in context.execute(code, {})
        if line["type"] != "number_of_executions"
    ]


RESTARTED, END = ("error", "ContextRestarting"), ("end_of_execution", None)


def test_a_kernel_that_has_ended_is_replaced_once_that_is_told(tmp_path: Path) -> None:
    async def lived() -> None:
        home = str(tmp_path)
        context = await Kernels(home, home, lambda: dict(os.environ)).default("python")
        try:
            assert await lines(context, "print('one')") == [("stdout", "one\n"), END]
            manager = context._manager
            await manager.shutdown_kernel(now=True)
            assert await lines(context, "print('two')") == [RESTARTED, END]
            assert await lines(context, "'three'") == [("result", "three"), END]
        finally:
            await context.remove()
        assert await lines(context, "print('never')") == [RESTARTED]

    asyncio.run(lived())


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
