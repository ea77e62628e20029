"""A program under load for 20 lifetimes of its tokens. Started in a fresh interpreter.

Usage: rotation.py SECONDS_OF_A_LIFETIME

Threads share one sandbox, tasks another. It prints one JSON object: how many requests it made,
and every failure.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from e2b_code_interpreter import AsyncSandbox, Sandbox

LIFETIME = float(sys.argv[1])
PROTECTED = {"security.agents.kruise.io/enable-jwt-auth": "true"}
THREADS = TASKS = 2

end = time.monotonic() + 20 * LIFETIME
done = 0
failures: list[str] = []
counting = threading.Lock()


def expect(got: Any, expected: Any) -> None:
    global done
    with counting:
        done += 1
        if got != expected:
            failures.append(f"got {got!r}")


def in_a_thread(request: Callable[[], tuple[Any, Any]]) -> None:
    while time.monotonic() < end:
        try:
            expect(*request())
        except Exception as error:
            failures.append(f"{type(error).__name__}: {error}")


async def in_a_task(request: Callable[[], Any]) -> None:
    while time.monotonic() < end:
        try:
            expect(*await request())
        except Exception as error:
            failures.append(f"{type(error).__name__}: {error}")


def use(sandbox: Sandbox, path: str) -> tuple[Any, Any]:
    sandbox.files.write(path, "hello")
    read = sandbox.files.read(path)
    return (read, sandbox.commands.run("echo $((6 * 7))").stdout), ("hello", "42\n")


async def ause(sandbox: AsyncSandbox, path: str) -> tuple[Any, Any]:
    await sandbox.files.write(path, "hello")
    read = await sandbox.files.read(path)
    return (read, (await sandbox.commands.run("echo $((6 * 7))")).stdout), ("hello", "42\n")


# One stream through all of it: renewals must not disturb what is under way.
TICKS = f"for i in $(seq 20); do echo $i; sleep {LIFETIME * 0.95}; done"
TICKED = "".join(f"{i}\n" for i in range(1, 21))


def main() -> None:
    sandbox = Sandbox.create(metadata=PROTECTED)
    kernel = Sandbox.connect(sandbox.sandbox_id)

    async def tasks() -> None:
        asandbox = await AsyncSandbox.create(metadata=PROTECTED)

        async def ticks() -> None:
            expect((await asandbox.commands.run(TICKS, timeout=0)).stdout, TICKED)

        loads = [partial(ause, asandbox, f"/tmp/{number}") for number in range(TASKS)]
        await asyncio.gather(ticks(), *map(in_a_task, loads))

    loads: list[Callable[[], tuple[Any, Any]]]
    loads = [partial(use, sandbox, f"/tmp/{number}") for number in range(THREADS)]
    loads.append(lambda: (kernel.run_code("6 * 7").text, "42"))
    threads = [threading.Thread(target=in_a_thread, args=(load,)) for load in loads]
    threads.append(
        threading.Thread(
            target=lambda: expect(sandbox.commands.run(TICKS, timeout=0).stdout, TICKED)
        )
    )
    for thread in threads:
        thread.start()
    asyncio.run(tasks())
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
    print(json.dumps({"done": done, "failures": failures[:20]}), flush=True)
    # The Rust transport of e2b 2.38 and newer may abort the interpreter's shutdown.
    os._exit(0)
