"""A program that makes every kind of request to a protected sandbox, in a fresh interpreter.

Usage: every_request.py sync|async [PROXY]

Its variables switch the private protocol on; it knows nothing of tokens but the metadata. Every
logger of the process writes to standard error, in full. It prints one JSON object.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import logging
import os
import sys
from typing import Any

from e2b import CommandExitException, PtySize
from e2b_code_interpreter import AsyncSandbox, Sandbox

MODE, *_proxy = sys.argv[1:]
OPTIONS: dict[str, Any] = {"proxy": _proxy[0]} if _proxy else {}
SandboxClass: Any = AsyncSandbox if MODE == "async" else Sandbox
PROTECTED = {"security.agents.kruise.io/enable-jwt-auth": "true"}


async def settle(value: Any) -> Any:
    """The value, whether the SDK's client is sync or async."""
    return await value if inspect.isawaitable(value) else value


async def use(sandbox: Any) -> dict[str, Any]:
    files, commands, done = sandbox.files, sandbox.commands, {}
    done["health"] = await settle(sandbox.is_running())

    await settle(files.write("/tmp/a.txt", "hello"))
    done["read"] = await settle(files.read("/tmp/a.txt"))
    stream = await settle(files.read("/tmp/a.txt", format="stream"))
    if MODE == "async":
        done["stream"] = b"".join([chunk async for chunk in stream]).decode()
        watch = await files.watch_dir("/tmp", lambda event: None)
    else:
        done["stream"] = b"".join(stream).decode()
        watch = files.watch_dir("/tmp")
    await settle(watch.stop())
    done["list"] = [entry.name for entry in await settle(files.list("/tmp"))]

    done["run"] = (await settle(commands.run("echo out"))).stdout
    done["processes"] = await settle(commands.list())
    handle = await settle(commands.run("sleep 600", background=True))
    again = await settle(commands.connect(handle.pid))
    done["connect"] = again.pid == handle.pid
    done["kill"] = await settle(commands.kill(handle.pid))
    # No stream is left to end in the middle of a later request.
    for ended in (handle, again):
        with contextlib.suppress(CommandExitException):
            await settle(ended.wait())

    size, options = PtySize(20, 80), {"on_data": lambda data: None} if MODE == "async" else {}
    pty = await settle(sandbox.pty.create(size, **options))
    await settle(sandbox.pty.resize(pty.pid, PtySize(24, 80)))
    await settle(sandbox.pty.send_stdin(pty.pid, b"exit\n"))
    await settle(pty.wait())

    done["run_code"] = (await settle(sandbox.run_code("6 * 7"))).text
    done["context"] = await use_contexts(sandbox)
    return done


async def use_contexts(sandbox: Any) -> str:
    context = await settle(sandbox.create_code_context())
    text: str = (await settle(sandbox.run_code("1 + 1", context=context))).text
    await settle(sandbox.list_code_contexts())
    await settle(sandbox.restart_code_context(context))
    await settle(sandbox.remove_code_context(context))
    return text


async def control(sandbox: Any) -> None:
    await settle(sandbox.get_info())
    await settle(sandbox.set_timeout(600))
    await settle(SandboxClass.list(**OPTIONS).next_items())


async def converse() -> dict[str, Any]:
    plain = await settle(SandboxClass.create(**OPTIONS))
    protected = await settle(SandboxClass.create(metadata=PROTECTED, **OPTIONS))
    outcome = {"plain": plain.sandbox_id, "protected": protected.sandbox_id}
    outcome["results"] = await use(protected)
    await control(protected)
    # Two objects for one sandbox, each with a token of its own, and one for the other.
    connected = await settle(SandboxClass.connect(protected.sandbox_id, **OPTIONS))
    outcome["before the first request"] = connected.traffic_access_token
    outcome["run on the connected"] = (await settle(connected.commands.run("echo on"))).stdout
    outcome["own"] = connected.traffic_access_token != protected.traffic_access_token
    outcome["context of the plain"] = await use_contexts(plain)
    for sandbox in (plain, await settle(SandboxClass.connect(plain.sandbox_id, **OPTIONS))):
        outcome["run on the plain"] = (await settle(sandbox.commands.run("echo on"))).stdout
        outcome["token of the plain"] = await settle(sandbox.refresh_traffic_access_token())
    shown = [protected, connected, connected.connection_config, vars(connected)]
    shown += [connected.connection_config.sandbox_headers, vars(connected.files)]
    outcome["shown"] = [repr(each) for each in shown]
    outcome["tokens"] = [each.traffic_access_token for each in (protected, connected)]
    await settle(protected.kill())
    return outcome


if __name__ == "__main__":
    logging.basicConfig(level=logging.DEBUG)
    print(json.dumps(asyncio.run(converse())), flush=True)
    # The Rust transport of e2b 2.38 and newer may abort the interpreter's shutdown.
    os._exit(0)
