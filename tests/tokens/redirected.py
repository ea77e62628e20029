"""A program that makes every kind of request to a sandbox. Started in a fresh interpreter.

Usage: redirected.py sync|async TOKEN SANDBOX...

What is answered does not matter. It says at its end whether it can ask Jupyter at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import sys
from typing import Any

import e2b_code_interpreter
from e2b import ConnectionConfig, PtySize
from packaging.version import Version

MODE, TOKEN, *SANDBOXES = sys.argv[1:]
# What run_code raises in pairs of e2b and e2b-code-interpreter that do not work together.
BROKEN = (AttributeError, TypeError)

SandboxClass: Any = getattr(e2b_code_interpreter, "AsyncSandbox" if MODE == "async" else "Sandbox")


async def settle(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


without_jupyter = False


async def run_code(sandbox: Any) -> None:
    global without_jupyter
    try:
        await settle(sandbox.run_code("1"))
    except BROKEN:
        without_jupyter = True


async def use(sandbox_id: str) -> None:
    sandbox = SandboxClass(
        sandbox_id=sandbox_id,
        sandbox_domain=None,
        # With every release: envd authenticates users by itself, and gets files one by one.
        envd_version=Version("0.2.10"),
        envd_access_token="access",
        traffic_access_token=TOKEN,
        connection_config=ConnectionConfig(),
    )
    options = {"on_data": lambda data: None} if MODE == "async" else {}
    watching = {"on_event": lambda event: None} if MODE == "async" else {}
    for request in (
        sandbox.is_running,
        lambda: sandbox.files.read("/a"),
        lambda: sandbox.files.read("/a", format="stream"),
        lambda: sandbox.files.write("/a", "text"),
        lambda: sandbox.files.list("/"),
        lambda: sandbox.files.watch_dir("/", **watching),
        sandbox.commands.list,
        lambda: sandbox.commands.run("true"),
        lambda: sandbox.commands.kill(7),
        lambda: sandbox.pty.create(PtySize(20, 80), **options),
        lambda: sandbox.pty.kill(7),
        lambda: run_code(sandbox),
        sandbox.create_code_context,
        sandbox.list_code_contexts,
        lambda: sandbox.restart_code_context("c"),
        lambda: sandbox.remove_code_context("c"),
        lambda: sandbox.refresh_traffic_access_token(force=True),
        sandbox.get_info,
        lambda: sandbox.set_timeout(60),
        sandbox.kill,
    ):
        with contextlib.suppress(Exception):
            await settle(request())


async def main() -> None:
    for sandbox_id in SANDBOXES:
        await use(sandbox_id)


asyncio.run(main())
print("done, without Jupyter" if without_jupyter else "done", flush=True)
# The Rust transport of e2b 2.38 and newer may abort the interpreter's shutdown.
os._exit(0)
