"""A program that uses what programs use seldom. Usage: seldom.py sync|async

The sandbox-manager is named by the environment alone. Prints one JSON object: the result of every
use, and the kind of error of those that no OpenKruise server knows.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import e2b
import httpx
from e2b_code_interpreter import AsyncSandbox, Sandbox

MODE = sys.argv[1]
Base: Any = AsyncSandbox if MODE == "async" else Sandbox
results: dict[str, Any] = {}


async def settle(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


class Subclass(Base):  # type: ignore[misc]
    def shout(self) -> str:
        return str(self.get_host(80)).upper()


async def follow_the_links(sandbox: Any) -> None:
    """Signed links, used by an HTTP client that knows nothing of the SDK."""
    await settle(sandbox.files.write("/tmp/a b?#%.txt", "héllo"))
    with httpx.Client(trust_env=False) as client:
        page = client.get(sandbox.download_url("/tmp/a b?#%.txt"))
        results["download_url"] = [page.status_code, page.content.decode()]
        forged = sandbox.download_url("/tmp/a b?#%.txt").replace("signature=v1_", "signature=v1_x")
        results["a forged link"] = client.get(forged).status_code
        upload = sandbox.upload_url("/tmp/up.txt", use_signature_expiration=60)
        sent = client.post(upload, files={"file": ("up.txt", b"uploaded")})
        results["upload_url"] = [sent.status_code, await settle(sandbox.files.read("/tmp/up.txt"))]


async def open_a_port(sandbox: Any) -> None:
    """What listens in the sandbox answers below get_host()."""
    serve = (
        "import http.server as h\n"
        "class Hello(h.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200); self.end_headers()\n"
        "        self.wfile.write(self.path.encode())\n"
        "server = h.HTTPServer(('127.0.0.1', 0), Hello)\n"
        "print(server.server_port, flush=True)\n"
        "server.serve_forever()\n"
    )
    await settle(sandbox.files.write("serve.py", serve))
    printed = asyncio.Queue[str]() if MODE == "async" else None
    if printed is not None:
        await settle(
            sandbox.commands.run(
                f"{sys.executable} serve.py", background=True, on_stdout=printed.put_nowait
            )
        )
        port = int(await printed.get())
    else:
        handle = sandbox.commands.run(f"{sys.executable} serve.py", background=True)
        port = int(next(out for out, _, _ in handle))
    with httpx.Client(trust_env=False) as client:
        page = client.get(f"http://{sandbox.get_host(port)}/a%20b?x=1")
    results["get_host"] = [page.status_code, page.text]


async def stream(sandbox: Any) -> None:
    await settle(sandbox.files.write("/tmp/large.bin", b"0123456789" * 100_000))
    chunks = await settle(sandbox.files.read("/tmp/large.bin", format="stream"))
    size = 0
    if MODE == "async":
        async for chunk in chunks:
            size += len(chunk)
    else:
        size = sum(len(chunk) for chunk in chunks)
    results["files.read, streaming"] = size


async def use_a_terminal(sandbox: Any) -> None:
    size = e2b.PtySize(24, 80)
    if MODE == "async":
        terminal = await sandbox.pty.create(size, lambda data: None)
    else:
        terminal = sandbox.pty.create(size)
    await settle(sandbox.pty.send_stdin(terminal.pid, b"exit\n"))
    results["pty"] = isinstance(terminal.pid, int)


async def pause_and_resume(sandbox: Any) -> None:
    await settle(sandbox.beta_pause())
    paused = await settle(sandbox.get_info())
    results["pause"] = paused.state.value
    await settle(sandbox.connect(timeout=300))
    results["connect on the instance"] = (await settle(sandbox.get_info())).state.value
    results["after the resume"] = (await settle(sandbox.commands.run("echo on"))).stdout


async def page_through(sandbox: Any) -> None:
    second = await settle(Base.create())
    pages, seen = Base.list(limit=1), []
    while pages.has_next:
        seen += [info.sandbox_id for info in await settle(pages.next_items())]
    results["list, page by page"] = {sandbox.sandbox_id, second.sandbox_id} <= set(seen)
    await settle(second.kill())


async def ask_for_what_is_not_served(sandbox: Any) -> None:
    """Whatever these raise, they raise it about an answer of the sandbox-manager."""
    client = "Async" if MODE == "async" else ""
    template = getattr(e2b, f"{client}Template")
    uses: dict[str, Callable[[], Any]] = {
        "get_metrics": sandbox.get_metrics,
        "Template.build": lambda: template.build(template().from_base_image(), alias="mine"),
    }
    if hasattr(sandbox, "create_snapshot"):
        uses["create_snapshot"] = sandbox.create_snapshot
    if hasattr(sandbox, "fork"):
        uses["fork"] = sandbox.fork
    if hasattr(e2b, f"{client}Volume"):
        uses["Volume.create"] = lambda: getattr(e2b, f"{client}Volume").create("mine")
    if hasattr(e2b, f"{client}Secret"):
        uses["Secret.create"] = lambda: getattr(e2b, f"{client}Secret").create("name", "value")
    for name, use in uses.items():
        try:
            await settle(use())
        except Exception as error:
            results[name] = type(error).__name__
        else:
            results[name] = "no error"


async def main() -> None:
    sandbox = await settle(Subclass.create())
    results["a subclass"] = isinstance(sandbox, Subclass) and sandbox.shout()
    for use in (
        follow_the_links,
        open_a_port,
        stream,
        use_a_terminal,
        pause_and_resume,
        page_through,
        ask_for_what_is_not_served,
    ):
        await use(sandbox)
    await settle(sandbox.kill())
    results["id"] = sandbox.sandbox_id


asyncio.run(main())
print(json.dumps(results), flush=True)
# See conversation.py.
os._exit(0)
