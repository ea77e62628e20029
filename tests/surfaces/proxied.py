"""A program that sends a request of each kind, for proxies to see. Usage: proxied.py [PROXY]

With ``PROXY``, it is given to the SDK as an argument. What is answered does not matter.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

import e2b
from packaging.version import Version

OPTIONS: dict[str, Any] = {"proxy": sys.argv[1]} if len(sys.argv) > 1 else {}


async def settle(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def ask(sandbox_class: Any) -> None:
    sandbox = sandbox_class(
        sandbox_id="s1",
        envd_version=Version("0.2.10"),
        envd_access_token=None,
        sandbox_domain=None,
        connection_config=e2b.ConnectionConfig(**OPTIONS),
    )
    requests: tuple[Callable[[], Any], ...] = (
        lambda: sandbox_class.get_info("s1", **OPTIONS),
        lambda: sandbox.files.read("/a b.txt"),
        lambda: sandbox.files.list("/"),
        lambda: sandbox.commands.run("true"),
    )
    for request in requests:
        with contextlib.suppress(Exception):
            await settle(request())


async def main() -> None:
    await ask(e2b.Sandbox)
    await ask(e2b.AsyncSandbox)


asyncio.run(main())
# See conversation.py.
os._exit(0)
