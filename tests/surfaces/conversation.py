"""A program that touches every URL surface of the SDK once. Started in a fresh interpreter.

Usage: conversation.py sync|async variable|argument|call|native http|https DOMAIN API_KEY
       conversation.py sync|async debug http|https STEPS API_KEY

``tests`` must be on ``PYTHONPATH``.

It knows nothing of the private protocol, except that it may be told to call ``patch_e2b``. It
prints one JSON object: every URL that the SDK handed out, every result, and the error of every
step that failed. ``debug`` uses the SDK's own debug mode, where a sandbox needs no server, for
the steps of a JSON list: what fails there in the same way is not our doing.
"""

from __future__ import annotations

import asyncio
import faulthandler
import importlib
import json
import os
from importlib.metadata import version
from typing import Any

from surfaces import steps
from surfaces.steps import (
    MODE,
    OPTIONS,
    SCHEME,
    WAY,
    Failed,
    accepts,
    attempt,
    errors,
    lacks,
    result,
    settle,
    url,
)

# Far above what it takes, below the patience of those who start it: where it hangs, it shows.
faulthandler.dump_traceback_later(500, exit=True)

if WAY == "call":
    from kruise_autopatch import patch_e2b

    patch_e2b(https=SCHEME == "https")

DISTRIBUTIONS = ("e2b", "e2b-code-interpreter", "e2b-desktop")


async def ask_configurations() -> None:
    from e2b import ConnectionConfig

    await url("api_url", lambda: ConnectionConfig(**OPTIONS).api_url)
    try:
        from e2b.volume.connection_config import VolumeConnectionConfig
    except ImportError:
        lacks("volume api_url")
        return
    domain = OPTIONS.get("domain")
    await url("volume api_url", lambda: VolumeConnectionConfig(domain=domain).api_url)


async def ask_urls(sandbox: Any) -> None:
    config, here = sandbox.connection_config, (sandbox.sandbox_id, sandbox.sandbox_domain)
    await url("sandbox_domain", lambda: sandbox.sandbox_domain)
    await url("get_host", lambda: sandbox.get_host(3000))
    await url("envd_api_url", lambda: sandbox.envd_api_url)
    await url("get_sandbox_url", lambda: config.get_sandbox_url(*here))
    await url("download_url", lambda: sandbox.download_url("/tmp/a b.txt"))
    await url("upload_url", lambda: sandbox.upload_url("/tmp/uploaded.txt"))
    await url(
        "expiring download_url",
        lambda: sandbox.download_url("/tmp/a b.txt", use_signature_expiration=60),
    )
    await url("get_mcp_url", sandbox.get_mcp_url)
    if accepts(config.get_sandbox_url, "port"):
        await url("get_sandbox_url(port)", lambda: config.get_sandbox_url(*here, port=8080))
    else:
        lacks("get_sandbox_url(port)")
    if not hasattr(config, "get_sandbox_direct_url"):
        lacks("get_sandbox_direct_url", "envd_direct_url", "get_sandbox_direct_url(port)")
        return
    direct = config.get_sandbox_direct_url
    await url("get_sandbox_direct_url", lambda: direct(*here))
    await url("envd_direct_url", lambda: sandbox.envd_direct_url)
    if accepts(direct, "port"):
        await url("get_sandbox_direct_url(port)", lambda: direct(*here, port=8080))
    else:
        lacks("get_sandbox_direct_url(port)")


async def use_files(sandbox: Any) -> None:
    files = sandbox.files
    await attempt("files.write", lambda: files.write("/tmp/a b.txt", "hello"))
    await result("files.read", lambda: files.read("/tmp/a b.txt"))
    await result("files.exists", lambda: files.exists("/tmp/a b.txt"))
    await result("files.make_dir", lambda: files.make_dir("/tmp/d"))
    await result(
        "files.rename", lambda: files.rename("/tmp/a b.txt", "/tmp/d/c.txt"), lambda e: e.path
    )
    await result("files.list", lambda: files.list("/tmp/d"), lambda es: [e.name for e in es])
    callback = (lambda event: None,) if MODE == "async" else ()
    watch = await attempt("files.watch_dir", lambda: files.watch_dir("/tmp/d", *callback))
    await attempt("files.watch_dir", lambda: watch.stop())
    await attempt("files.remove", lambda: files.remove("/tmp/d"))
    await result("files.remove", lambda: files.exists("/tmp/d"), lambda exists: not exists)
    # Left for whoever follows the links.
    await attempt("files.write", lambda: files.write("/tmp/a b.txt", "hello"))


async def use_commands(sandbox: Any) -> None:
    from e2b import CommandExitException

    commands = sandbox.commands
    await result("commands.run", lambda: commands.run("echo out; echo err >&2"), lambda r: r.stdout)

    async def failing() -> int:
        try:
            await settle(commands.run("exit 3"))
        except CommandExitException as error:
            return error.exit_code
        raise AssertionError("the SDK does not tell that the command failed")

    await result("commands.run failing", failing)

    interactive = {"stdin": True} if accepts(commands.run, "stdin") else {}
    handle = await attempt(
        "commands.run",
        lambda: commands.run("read line; echo got $line", background=True, **interactive),
    )
    await result("commands.list", commands.list, lambda ps: handle.pid in [p.pid for p in ps])
    await attempt("commands.send_stdin", lambda: commands.send_stdin(handle.pid, "input\n"))
    await result("commands.send_stdin", lambda: handle.wait(), lambda r: r.stdout)

    sleeper = await attempt("commands.run", lambda: commands.run("sleep 600", background=True))
    await result(
        "commands.connect", lambda: commands.connect(sleeper.pid), lambda h: h.pid == sleeper.pid
    )
    await result("commands.kill", lambda: commands.kill(sleeper.pid))


async def use_code(sandbox: Any) -> None:
    await url("jupyter_url", lambda: sandbox._jupyter_url)
    await result("run_code", lambda: sandbox.run_code("sum(range(10))"), lambda e: e.text)
    await result("run_code failing", lambda: sandbox.run_code("1/0"), lambda e: e.error.name)
    context = await attempt("create_code_context", sandbox.create_code_context)
    await attempt("run_code in a context", lambda: sandbox.run_code("x = 20", context=context))
    await result(
        "run_code in a context",
        lambda: sandbox.run_code("x + 1", context=context),
        lambda e: e.text,
    )

    def is_listed(contexts: Any) -> bool:
        return context.id in [one.id for one in contexts]

    await result("list_code_contexts", sandbox.list_code_contexts, is_listed)
    await attempt("remove_code_context", lambda: sandbox.remove_code_context(context))
    await result("remove_code_context", sandbox.list_code_contexts, lambda cs: not is_listed(cs))


async def control(sandbox_class: Any, sandbox: Any) -> None:
    sandbox_id = sandbox.sandbox_id
    await result("is_running", sandbox.is_running)
    await result(
        "list",
        lambda: sandbox_class.list(**OPTIONS).next_items(),
        lambda infos: sandbox_id in [info.sandbox_id for info in infos],
    )
    await result("get_info", sandbox.get_info, lambda info: info.sandbox_id == sandbox_id)
    await attempt("set_timeout", lambda: sandbox.set_timeout(600))
    connected = await attempt("connect", lambda: sandbox_class.connect(sandbox_id, **OPTIONS))
    await result("connect", lambda: connected, lambda again: again.sandbox_id == sandbox_id)
    await result(
        "run on the connected",
        lambda: connected.commands.run("echo connected"),
        lambda r: r.stdout,
    )


async def use_desktop(sandbox_id: str) -> None:
    desktop = await attempt("import e2b_desktop", lambda: importlib.import_module("e2b_desktop"))
    if isinstance(desktop, Failed):
        return
    from e2b_desktop.main import _VNCServer

    async def connect() -> Any:
        return _VNCServer(desktop.Sandbox.connect(sandbox_id, **OPTIONS))

    stream = await attempt("desktop connect", connect)
    await url("desktop stream", lambda: stream.get_url())
    await url("desktop stream, plain", lambda: stream.get_url(auto_connect=False, resize=""))


async def converse() -> str | None:
    import e2b

    interpreter = await attempt(
        "import e2b_code_interpreter", lambda: importlib.import_module("e2b_code_interpreter")
    )
    sdk: Any = e2b if isinstance(interpreter, Failed) else interpreter
    sandbox_class = sdk.AsyncSandbox if MODE == "async" else sdk.Sandbox

    await ask_configurations()
    sandbox = await attempt("create", lambda: sandbox_class.create(**OPTIONS))
    if isinstance(sandbox, Failed):
        return None
    sandbox_id: str = sandbox.sandbox_id
    try:
        await ask_urls(sandbox)
        await use_files(sandbox)
        await use_commands(sandbox)
        if sdk is interpreter:
            await use_code(sandbox)
        await control(sandbox_class, sandbox)
        # The e2b-desktop SDK has no async client.
        if MODE == "sync":
            await use_desktop(sandbox_id)
        else:
            lacks("desktop connect", "desktop stream", "desktop stream, plain")

        from surfaces import seldom

        await seldom.take_all(sandbox_class, sandbox)
    finally:
        await result("kill", lambda: sandbox.kill(**OPTIONS))
    return sandbox_id


if __name__ == "__main__":
    before = dict(os.environ)
    outcome = {
        "id": asyncio.run(converse()),
        "others": steps.others,
        "versions": {name: version(name) for name in DISTRIBUTIONS},
        "tried": sorted(steps.tried),
        "urls": steps.urls,
        "results": steps.results,
        "answers": steps.answers,
        "errors": errors,
        "absent": steps.absent,
        "environment_unchanged": before == dict(os.environ),
    }
    print(json.dumps(outcome), flush=True)
    # The Rust transport of e2b 2.38 and newer may abort the interpreter's shutdown after async
    # use, patched or not (measured on 2.63.0: one run in three).
    os._exit(0)
