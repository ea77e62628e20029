"""A program with many streams of several sandboxes. Usage: streaming.py sync|async BOXES STREAMS

It opens as many streams of each sandbox: commands, and a cell. Meanwhile it reads files. When
it reads a line it kills the first sandbox, and prints the answer.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
import threading
from typing import Any

from e2b_code_interpreter import AsyncSandbox, Sandbox

MODE, BOXES, STREAMS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
# A few at a time, as programs do: httpcore takes minutes for hundreds over http, and bursts make
# pyqwest fail. But asyncio's side of httpcore stalls over HTTP/2, natively too, unless all streams
# begin at once and nothing else follows on their connection.
OF_HTTPCORE = importlib.util.find_spec("pyqwest") is None
AT_ONCE = 500 if OF_HTTPCORE and os.environ["KRUISE_E2B_HTTPS"] == "1" else 8

# What run_code raises in pairs of e2b and e2b-code-interpreter that do not work together.
BROKEN = (AttributeError, TypeError)


def command(sandbox: Any) -> Any:
    """Begin one, and return when it has begun. To be awaited if the sandbox is async."""
    return sandbox.commands.run("sleep 600", background=True, timeout=0, request_timeout=0)


def cell(sandbox: Any) -> None:
    """Begin one; it does not end."""
    try:
        sandbox.run_code("input()", timeout=0, request_timeout=600)
    except BROKEN:
        command(sandbox).wait()


async def acell(sandbox: Any) -> None:
    try:
        await sandbox.run_code("input()", timeout=0, request_timeout=600)
    except BROKEN:
        await (await command(sandbox)).wait()


def main() -> None:
    boxes = [Sandbox.create() for _ in range(BOXES)]
    commands = [command(box) for box in boxes * (STREAMS - 1)]
    files = [box.files.read("/a file") for box in boxes]
    for box in boxes:
        threading.Thread(target=cell, args=(box,), daemon=True).start()
    sys.stdin.readline()
    print(boxes[0].kill(), len(commands), len(files), flush=True)
    os._exit(0)


async def amain() -> None:
    boxes = [await AsyncSandbox.create() for _ in range(BOXES)]
    turns = asyncio.Semaphore(AT_ONCE)

    async def begin(box: Any) -> Any:
        async with turns:
            return await command(box)

    commands = await asyncio.gather(*(begin(box) for box in boxes * (STREAMS - 1)))
    files = [] if AT_ONCE > 8 else [await box.files.read("/a file") for box in boxes]
    cells = [asyncio.ensure_future(acell(box)) for box in boxes]
    await asyncio.to_thread(sys.stdin.readline)
    print(await boxes[0].kill(), len(commands), len(files), flush=True)
    os._exit(any(cell.done() for cell in cells))


if MODE == "sync":
    main()
else:
    asyncio.run(amain())
