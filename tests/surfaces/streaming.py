"""A program with many streams of several sandboxes. Usage: streaming.py sync|async BOXES STREAMS

It opens as many streams of each sandbox, of each kind: commands, downloads, and two cells. When it
reads a line it kills the first sandbox, and prints the answer.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from e2b_code_interpreter import AsyncSandbox, Sandbox

MODE, BOXES, STREAMS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
CELLS = 2
# A few at a time, as programs do; httpcore takes minutes for hundreds at once.
AT_ONCE = 8


def stream(sandbox: Any, number: int) -> Any:
    """Begin one, and return when it has begun. To be awaited if the sandbox is async."""
    if number % 2:
        return sandbox.files.read("/a file", format="stream", request_timeout=600)
    return sandbox.commands.run("sleep 600", background=True, timeout=0, request_timeout=0)


def cell(sandbox: Any) -> Any:
    """Begin one; it does not end."""
    return sandbox.run_code("input()", timeout=0, request_timeout=600)


def work() -> list[tuple[int, int]]:
    return [(box, number) for number in range(STREAMS - CELLS) for box in range(BOXES)]


def main() -> None:
    boxes = [Sandbox.create() for _ in range(BOXES)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        streams = list(pool.map(lambda one: stream(boxes[one[0]], one[1]), work()))
    for box in boxes * CELLS:
        threading.Thread(target=cell, args=(box,), daemon=True).start()
    sys.stdin.readline()
    print(boxes[0].kill(), len(streams), flush=True)
    os._exit(0)


async def amain() -> None:
    boxes = [await AsyncSandbox.create() for _ in range(BOXES)]
    turns = asyncio.Semaphore(AT_ONCE)

    async def begin(box: int, number: int) -> Any:
        async with turns:
            return await stream(boxes[box], number)

    streams = await asyncio.gather(*(begin(*one) for one in work()))
    cells = [asyncio.ensure_future(cell(box)) for box in boxes * CELLS]
    await asyncio.to_thread(sys.stdin.readline)
    print(await boxes[0].kill(), len(streams), flush=True)
    os._exit(any(cell.done() for cell in cells))


if MODE == "sync":
    main()
else:
    asyncio.run(amain())
