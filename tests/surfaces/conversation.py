"""A program that touches every URL surface of the SDK once. Started in a fresh interpreter.

Usage: conversation.py sync|async variable|argument|call http|https DOMAIN API_KEY

It knows nothing of the private protocol, except that it may be told to call ``patch_e2b``. It
prints one JSON object: every URL that the SDK handed out, and every result.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
from typing import Any

MODE, WAY, SCHEME, DOMAIN, API_KEY = sys.argv[1:]

if WAY == "call":
    from kruise_autopatch import patch_e2b

    patch_e2b(https=SCHEME == "https")

# The e2b-desktop SDK has no async client.
import e2b_desktop  # noqa: E402
from e2b import ConnectionConfig, SandboxException  # noqa: E402
from e2b_code_interpreter import AsyncSandbox, Sandbox  # noqa: E402
from e2b_desktop.main import _VNCServer  # noqa: E402

SandboxClass: Any = AsyncSandbox if MODE == "async" else Sandbox
OPTIONS: dict[str, Any] = {"domain": DOMAIN, "api_key": API_KEY} if WAY == "argument" else {}


async def settle(value: Any) -> Any:
    """The value, whether the SDK's client is sync or async."""
    return await value if inspect.isawaitable(value) else value


def accepts(function: Any, parameter: str) -> bool:
    return parameter in inspect.signature(function).parameters


def urls_of_configurations() -> dict[str, str]:
    found = {"api_url": ConnectionConfig(**OPTIONS).api_url}
    try:
        from e2b.volume.connection_config import VolumeConnectionConfig
    except ImportError:
        return found
    return {**found, "volume api_url": VolumeConnectionConfig(domain=OPTIONS.get("domain")).api_url}


def urls_of(sandbox: Any) -> dict[str, str]:
    config, here = sandbox.connection_config, (sandbox.sandbox_id, sandbox.sandbox_domain)
    urls = {
        "sandbox_domain": sandbox.sandbox_domain,
        "get_host": sandbox.get_host(3000),
        "envd_api_url": sandbox.envd_api_url,
        "get_sandbox_url": config.get_sandbox_url(*here),
        "download_url": sandbox.download_url("/tmp/a b.txt"),
        "upload_url": sandbox.upload_url("/tmp/uploaded.txt"),
        "expiring download_url": sandbox.download_url("/tmp/a b.txt", use_signature_expiration=60),
        "get_mcp_url": sandbox.get_mcp_url(),
        "jupyter_url": sandbox._jupyter_url,
    }
    if accepts(config.get_sandbox_url, "port"):
        urls["get_sandbox_url(port)"] = config.get_sandbox_url(*here, port=8080)
    if hasattr(config, "get_sandbox_direct_url"):
        urls["get_sandbox_direct_url"] = config.get_sandbox_direct_url(*here)
        urls["envd_direct_url"] = sandbox.envd_direct_url
        if accepts(config.get_sandbox_direct_url, "port"):
            urls["get_sandbox_direct_url(port)"] = config.get_sandbox_direct_url(*here, port=8080)
    return urls


async def use_files(sandbox: Any) -> dict[str, Any]:
    files, done = sandbox.files, {}
    await settle(files.write("/tmp/a b.txt", "hello"))
    done["files.read"] = await settle(files.read("/tmp/a b.txt"))
    done["files.exists"] = await settle(files.exists("/tmp/a b.txt"))
    done["files.make_dir"] = await settle(files.make_dir("/tmp/d"))
    done["files.rename"] = (await settle(files.rename("/tmp/a b.txt", "/tmp/d/c.txt"))).path
    done["files.list"] = [entry.name for entry in await settle(files.list("/tmp/d"))]
    if MODE == "async":
        watch = await files.watch_dir("/tmp/d", lambda event: None)
    else:
        watch = files.watch_dir("/tmp/d")
    await settle(watch.stop())
    await settle(files.remove("/tmp/d"))
    done["files.remove"] = not await settle(files.exists("/tmp/d"))
    # Left for whoever follows the links.
    await settle(files.write("/tmp/a b.txt", "hello"))
    return done


async def use_commands(sandbox: Any) -> dict[str, Any]:
    commands, done = sandbox.commands, {}
    done["commands.run"] = (await settle(commands.run("echo out; echo err >&2"))).stdout
    try:
        await settle(commands.run("exit 3"))
    except SandboxException as error:
        done["commands.run failing"] = error.exit_code  # type: ignore[attr-defined]

    interactive = {"stdin": True} if accepts(commands.run, "stdin") else {}
    handle = await settle(commands.run("read line; echo got $line", background=True, **interactive))
    done["commands.list"] = handle.pid in [p.pid for p in await settle(commands.list())]
    await settle(commands.send_stdin(handle.pid, "input\n"))
    done["commands.send_stdin"] = (await settle(handle.wait())).stdout

    sleeper = await settle(commands.run("sleep 600", background=True))
    again = await settle(commands.connect(sleeper.pid))
    done["commands.connect"] = again.pid == sleeper.pid
    done["commands.kill"] = await settle(commands.kill(sleeper.pid))
    return done


async def use_code(sandbox: Any) -> dict[str, Any]:
    done = {"run_code": (await settle(sandbox.run_code("sum(range(10))"))).text}
    failed = await settle(sandbox.run_code("1/0"))
    done["run_code failing"] = failed.error.name
    context = await settle(sandbox.create_code_context())
    await settle(sandbox.run_code("x = 20", context=context))
    done["run_code in a context"] = (await settle(sandbox.run_code("x + 1", context=context))).text
    return done


async def control(sandbox: Any) -> dict[str, Any]:
    done = {"is_running": await settle(sandbox.is_running())}
    pages = SandboxClass.list(**OPTIONS)
    listed = [info.sandbox_id for info in await settle(pages.next_items())]
    done["list"] = sandbox.sandbox_id in listed
    info = await settle(sandbox.get_info())
    done["get_info"] = info.sandbox_id == sandbox.sandbox_id
    await settle(sandbox.set_timeout(600))
    connected = await settle(SandboxClass.connect(sandbox.sandbox_id, **OPTIONS))
    done["connect"] = connected.sandbox_id == sandbox.sandbox_id
    result = await settle(connected.commands.run("echo connected"))
    done["run on the connected"] = result.stdout
    return done


async def converse() -> dict[str, Any]:
    urls = urls_of_configurations()
    sandbox = await settle(SandboxClass.create(**OPTIONS))
    results: dict[str, Any] = {}
    try:
        urls.update(urls_of(sandbox))
        results.update(await use_files(sandbox))
        results.update(await use_commands(sandbox))
        results.update(await use_code(sandbox))
        results.update(await control(sandbox))
        if MODE == "sync":
            desktop = e2b_desktop.Sandbox.connect(sandbox.sandbox_id, **OPTIONS)
            stream = _VNCServer(desktop)
            urls["desktop stream"] = stream.get_url()
            urls["desktop stream, plain"] = stream.get_url(auto_connect=False, resize="")
    finally:
        results["kill"] = await settle(sandbox.kill())
    return {"id": sandbox.sandbox_id, "urls": urls, "results": results}


if __name__ == "__main__":
    before = dict(os.environ)
    outcome = asyncio.run(converse())
    outcome["environment unchanged"] = before == dict(os.environ)
    print(json.dumps(outcome), flush=True)
    # The Rust transport of e2b 2.38 and newer may abort the interpreter's shutdown after async
    # use, patched or not (measured on 2.63.0: one run in three).
    os._exit(0)
