"""The steps of a conversation that programs take seldom, and that are easily missed."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import ssl
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import e2b
import httpx

from surfaces import steps
from surfaces.steps import (
    API_KEY,
    CONNECTION,
    MODE,
    OPTIONS,
    OTHER_DOMAIN,
    SCHEME,
    accepts,
    answer,
    attempt,
    lacks,
    result,
    settle,
    taken_by,
    url,
)

# Seconds, for what another process is to bring about.
_PATIENCE = 600
_PREFIX = "Async" if MODE == "async" else ""


async def take_all(sandbox_class: Any, sandbox: Any) -> None:
    await follow_links(sandbox)
    await result("get_host, used", lambda: open_a_port(sandbox))
    await result("files.read, streaming", lambda: stream(sandbox))
    await result("watch", lambda: watch(sandbox))
    await use_terminals(sandbox)
    await use_git(sandbox)
    await use_subclasses(sandbox_class)
    await start_mcp(sandbox_class)
    await use_bound_clients()
    await use_templates()
    await use_snapshots(sandbox_class, sandbox)
    await use_volumes()
    await use_secrets()
    await answer("get_metrics", lambda: sandbox.get_metrics(**OPTIONS))
    if hasattr(sandbox_class, "fork"):
        await answer("fork", lambda: sandbox.fork(**OPTIONS))
    else:
        lacks("fork")
    await limit_the_network(sandbox)
    await pause_and_resume(sandbox_class, sandbox)
    await result("list, page by page", lambda: page_through(sandbox_class, sandbox))


# --- what is reached without the SDK -----------------------------------------------------------


def http_client() -> httpx.Client:
    authority = os.environ.get("SSL_CERT_FILE")
    verify = ssl.create_default_context(cafile=authority) if authority else True
    return httpx.Client(trust_env=False, verify=verify, **CONNECTION)


async def follow_links(sandbox: Any) -> None:
    """Signed links, followed by an HTTP client that knows nothing of the SDK."""
    path, content = "/tmp/a b?#%ü.txt", "héllo"

    async def fetch(forge: Callable[[str], str] = steps.same, **options: Any) -> list[Any]:
        await settle(sandbox.files.write(path, content))
        with http_client() as client:
            page = client.get(forge(sandbox.download_url(path, **options)))
            return [page.status_code, page.content.decode() if page.is_success else ""]

    async def post() -> list[Any]:
        link = sandbox.upload_url("/tmp/up.txt", use_signature_expiration=60)
        with http_client() as client:
            sent = client.post(link, files={"file": ("up.txt", b"uploaded")})
        return [sent.status_code, await settle(sandbox.files.read("/tmp/up.txt"))]

    await result("download_url, fetched", fetch)
    await result("expiring download_url, fetched", lambda: fetch(use_signature_expiration=60))
    await result(
        "forged download_url",
        lambda: fetch(lambda link: link.replace("signature=v1_", "signature=v1_x")),
    )
    await result("upload_url, posted", post)


_SERVER = """
import http.server
class Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode())
server = http.server.HTTPServer(("0.0.0.0", 0), Echo)
print(server.server_port, flush=True)
server.serve_forever()
"""


async def open_a_port(sandbox: Any) -> list[Any]:
    """What listens in the sandbox answers below get_host()."""
    await settle(sandbox.files.write("serve.py", _SERVER))
    command = f"{sys.executable} serve.py"
    if MODE == "async":
        printed = asyncio.Queue[str]()
        await sandbox.commands.run(command, background=True, on_stdout=printed.put_nowait)
        port = int(await asyncio.wait_for(printed.get(), _PATIENCE))
    else:
        handle = sandbox.commands.run(command, background=True)
        port = int(next(out for out, _, _ in handle if out))
    with http_client() as client:
        page = client.get(f"{SCHEME}://{sandbox.get_host(port)}/a%20b?x=1")
    return [page.status_code, page.text]


# --- long-lived streams ------------------------------------------------------------------------


async def stream(sandbox: Any) -> int:
    await settle(sandbox.files.write("/tmp/large.bin", b"0123456789" * 100_000))
    chunks = await settle(sandbox.files.read("/tmp/large.bin", format="stream"))
    if MODE == "async":
        return sum([len(chunk) async for chunk in chunks])
    return sum(len(chunk) for chunk in chunks)


async def until(done: Callable[[], Any]) -> bool:
    """Whether ``done()`` came true before the patience was over."""
    end = time.monotonic() + _PATIENCE
    while not await settle(done()):
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.02)
    return True


async def watch(sandbox: Any) -> bool:
    """Whether the event of a new file arrives."""
    await settle(sandbox.files.make_dir("/tmp/watched"))
    events: list[Any] = []
    callback = (events.append,) if MODE == "async" else ()
    handle = await settle(sandbox.files.watch_dir("/tmp/watched", *callback))

    def seen() -> bool:
        if MODE == "sync":
            events.extend(handle.get_new_events())
        return "new.txt" in [event.name for event in events]

    await settle(sandbox.files.write("/tmp/watched/new.txt", "new"))
    delivered = await until(seen)
    await settle(handle.stop())
    return delivered


async def use_terminals(sandbox: Any) -> None:
    """In the same way twice: what the first one types is what the terminal answers."""
    pty = sandbox.pty
    await result("pty", lambda: talk_in_terminal(sandbox, reconnect=False))
    if hasattr(pty, "connect"):
        await result("pty.connect", lambda: talk_in_terminal(sandbox, reconnect=True))
    else:
        lacks("pty.connect")


async def talk_in_terminal(sandbox: Any, reconnect: bool) -> bool:
    pty, size, shown = sandbox.pty, e2b.PtySize(24, 80), bytearray()
    # The answer is not in what is typed, which the terminal echoes.
    typed, expected = b"echo $((20 + 1))-$COLUMNS; exit\n", b"21-100"
    if MODE == "async":
        terminal = await pty.create(size, shown.extend)
        if reconnect:
            await terminal.disconnect()
            terminal = await pty.connect(terminal.pid, shown.extend)
    else:
        terminal = pty.create(size)
        if reconnect:
            terminal.disconnect()
            terminal = pty.connect(terminal.pid)
    await settle(pty.resize(terminal.pid, e2b.PtySize(24, 100)))
    await settle(pty.send_stdin(terminal.pid, typed))
    if MODE == "async":
        await terminal.wait()
    else:
        terminal.wait(on_pty=shown.extend)
    return expected in bytes(shown)


# --- shell commands in disguise ----------------------------------------------------------------


async def use_git(sandbox: Any) -> None:
    if not hasattr(sandbox, "git"):
        lacks("git", "git.clone")
        return
    git = sandbox.git

    async def commit() -> list[Any]:
        await settle(git.init("repository", initial_branch="main"))
        await settle(git.configure_user("Me", "me@example.com", scope="local", path="repository"))
        await settle(sandbox.files.write("repository/a.txt", "a"))
        before = await settle(git.status("repository"))
        await settle(git.add("repository"))
        await settle(git.commit("repository", "First"))
        after = await settle(git.status("repository"))
        return [before.is_clean, after.is_clean, after.current_branch]

    async def clone() -> str:
        await settle(git.clone("./repository", path="copy"))
        read: str = await settle(sandbox.files.read("copy/a.txt"))
        return read

    await result("git", commit)
    await result("git.clone", clone)


# --- classes and clients -----------------------------------------------------------------------


async def use_subclasses(sandbox_class: Any) -> None:
    class Mine(sandbox_class):  # type: ignore[misc]
        def shout(self) -> str:
            return str(self.get_host(80)).upper()

    mine = await attempt("subclass", lambda: Mine.create(**OPTIONS))
    await url("subclass get_host", lambda: mine.shout().lower())

    async def use() -> list[Any]:
        again = await settle(Mine.connect(mine.sandbox_id, **OPTIONS))
        kinds = [type(each).__name__ for each in (mine, again)]
        return [*kinds, (await settle(again.commands.run("echo mine"))).stdout]

    await result("subclass", use)
    await result("kill, by class", lambda: Mine.kill(mine.sandbox_id, **OPTIONS))


async def use_bound_clients() -> None:
    await use_bound_client("E2B", "e2b")
    interpreted = await use_bound_client("code-interpreter E2B", "e2b_code_interpreter")
    if interpreted is None:
        lacks("code-interpreter E2B jupyter_url")
    else:
        await url("code-interpreter E2B jupyter_url", lambda: interpreted._jupyter_url)
    if hasattr(e2b, "E2B"):
        client = e2b.E2B(domain=OTHER_DOMAIN, api_key=API_KEY, **CONNECTION)
        template, volume, secret = (
            getattr(client, f"{_PREFIX}{name}") for name in ("Template", "Volume", "Secret")
        )
        await answer("E2B, Template", lambda: template.alias_exists("bound"))
        await answer("E2B, Volume", lambda: volume.get_info("bound"))
        await answer("E2B, Secret", lambda: secret.get_info("bound"))
    else:
        lacks("E2B, Template", "E2B, Volume", "E2B, Secret")

    desktop = await attempt("import e2b_desktop", lambda: importlib.import_module("e2b_desktop"))
    # The e2b-desktop SDK has no async client, and creating a desktop needs a screen.
    if MODE == "sync" and own_client(desktop) and steps.others:
        client = desktop.E2B(domain=OTHER_DOMAIN, api_key=API_KEY, **CONNECTION)
        await url(
            "desktop E2B get_host",
            lambda: client.Sandbox.connect(steps.others[0]).get_host(6080),
        )
    else:
        lacks("desktop E2B get_host")


def own_client(module: Any) -> Any:
    """The E2B class of an SDK; e2b-code-interpreter before 2.10 handed out that of e2b."""
    client = vars(module).get("E2B")
    return client if client is not None and client.__module__.startswith(module.__name__) else None


async def use_bound_client(name: str, module_name: str) -> Any:
    """A sandbox of a client of its own domain, beside those of the environment."""
    module = sys.modules.get(module_name)
    if module is None or not own_client(module):
        lacks(name, f"{name} get_host")
        return None
    client = module.E2B(domain=OTHER_DOMAIN, api_key=API_KEY, **CONNECTION)
    bound = getattr(client, f"{_PREFIX}Sandbox")
    sandbox = await attempt(name, bound.create)
    await url(f"{name} get_host", lambda: sandbox.get_host(3000))

    async def use() -> list[Any]:
        # Killed with the server: the desktop's client connects to it, too.
        steps.others.append(sandbox.sandbox_id)
        await settle(sandbox.files.write("who", "bound"))
        again = await settle(bound.connect(sandbox.sandbox_id))
        listed = [info.sandbox_id for info in await settle(bound.list().next_items())]
        return [await settle(again.files.read("who")), sandbox.sandbox_id in listed]

    await result(name, use)
    return sandbox


async def start_mcp(sandbox_class: Any) -> None:
    """The SDK starts the gateway in the sandbox; here it writes down what it was given."""
    # The gateway is a function that bash finds in its environment: a login shell sets PATH.
    gateway = '() { echo "$1 $2 $GATEWAY_ACCESS_TOKEN" >/tmp/given; }'
    variables = {"BASH_FUNC_mcp-gateway%%": gateway}
    sandbox = await attempt(
        "MCP start",
        lambda: sandbox_class.create(mcp={"fetch": {}}, envs=variables, **OPTIONS),
    )

    async def started() -> bool:
        token = await settle(sandbox.get_mcp_token())
        given = await settle(sandbox.files.read("/tmp/given"))
        await settle(sandbox.kill(**OPTIONS))
        return bool(token) and given == f'--config {{"fetch": {{}}}} {token}\n'

    await result("MCP start", started)


# --- what changes a sandbox as a whole ---------------------------------------------------------


async def pause_and_resume(sandbox_class: Any, sandbox: Any) -> None:
    async def state() -> str:
        return str((await settle(sandbox.get_info(**OPTIONS))).state.value)

    def pause_by(owner: Any) -> Any:
        return getattr(owner, "pause", None) or owner.beta_pause

    async def pause(pausing: Callable[[], Any]) -> str:
        await settle(pausing())
        return await state()

    async def resume(connect: Callable[[], Any]) -> list[Any]:
        again = await settle(connect())
        return [await state(), (await settle(again.commands.run("echo on"))).stdout]

    sandbox_id = sandbox.sandbox_id
    await result("pause", lambda: pause(lambda: pause_by(sandbox)(**OPTIONS)))
    await result(
        "resume by the instance", lambda: resume(lambda: sandbox.connect(timeout=300, **OPTIONS))
    )
    await result(
        "pause, by class", lambda: pause(lambda: pause_by(sandbox_class)(sandbox_id, **OPTIONS))
    )
    await result(
        "resume by the class",
        lambda: resume(lambda: sandbox_class.connect(sandbox_id, timeout=300, **OPTIONS)),
    )


async def limit_the_network(sandbox: Any) -> None:
    if not hasattr(sandbox, "update_network"):
        lacks("update_network")
        return
    await result(
        "update_network",
        lambda: sandbox.update_network({"deny_out": ["10.0.0.0/8"]}, **OPTIONS),
    )


async def page_through(sandbox_class: Any, sandbox: Any) -> list[bool]:
    """Pages of one sandbox each, of at least two."""
    second = await settle(sandbox_class.create(**OPTIONS))
    pages, sizes, seen = sandbox_class.list(limit=1, **OPTIONS), [], []
    while pages.has_next:
        items = await settle(pages.next_items())
        sizes.append(len(items))
        seen += [info.sandbox_id for info in items]
    await settle(second.kill(**OPTIONS))
    return [{sandbox.sandbox_id, second.sandbox_id} <= set(seen), set(sizes) == {1}]


# --- what OpenKruise does not serve ------------------------------------------------------------


async def use_templates() -> None:
    template = getattr(e2b, f"{_PREFIX}Template")
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "a.txt").write_text("a")
        shapes: dict[str, Callable[[], Any]] = {
            "from_base_image": lambda: template().from_base_image(),
            "from_image": lambda: template().from_image("debian:12").run_cmd("true"),
            "from_template": lambda: template().from_template("base").set_envs({"A": "1"}),
            "from_dockerfile": lambda: template().from_dockerfile("FROM debian:12\nRUN true\n"),
            "copy": lambda: (
                template(file_context_path=directory).from_base_image().copy("a.txt", "/a.txt")
            ),
        }
        for name, shape in shapes.items():
            await answer(f"Template.build, {name}", partial(_build, template, shape))
        if accepts(template.build, "name"):
            await answer(
                "Template.build, by name",
                lambda: template.build(template().from_base_image(), "mine", **OPTIONS),
            )
        else:
            lacks("Template.build, by name")
        await answer(
            "Template.build_in_background",
            lambda: template.build_in_background(
                template().from_base_image(),
                alias="mine",
                **taken_by(template.build_in_background),
            ),
        )
    make_build: Any = e2b.BuildInfo
    needed = [
        name
        for name, parameter in inspect.signature(make_build).parameters.items()
        if parameter.default is inspect.Parameter.empty and name != "tags"
    ]
    build = await attempt(
        "Template.get_build_status", lambda: make_build(**dict.fromkeys(needed, "mine"))
    )
    status = template.get_build_status
    await answer("Template.get_build_status", lambda: status(build, **taken_by(status)))
    for method, arguments in (
        ("alias_exists", ("mine",)),
        ("exists", ("mine",)),
        ("assign_tags", ("mine:v1", ["stable"])),
        ("remove_tags", ("mine", ["stable"])),
        ("get_tags", ("mine",)),
    ):
        if hasattr(template, method):
            await answer(
                f"Template.{method}", partial(_call, template, method, *arguments, **OPTIONS)
            )
        else:
            lacks(f"Template.{method}")


async def use_snapshots(sandbox_class: Any, sandbox: Any) -> None:
    if not hasattr(sandbox_class, "create_snapshot"):
        lacks("create_snapshot", "list_snapshots", "delete_snapshot")
        return
    await answer("create_snapshot", lambda: sandbox.create_snapshot(**OPTIONS))
    await answer("list_snapshots", lambda: sandbox_class.list_snapshots(**OPTIONS).next_items())
    await answer("delete_snapshot", lambda: sandbox_class.delete_snapshot("mine", **OPTIONS))


async def use_volumes() -> None:
    volume_class = getattr(e2b, f"{_PREFIX}Volume", None)
    names = ("create", "list", "get_info", "connect", "destroy")
    contents = ("write_file", "read_file", "make_dir", "exists", "remove")
    if volume_class is None:
        lacks(*(f"Volume.{name}" for name in (*names, *contents)))
        return
    for name in names:
        arguments = () if name == "list" else ("mine",)
        await answer(f"Volume.{name}", partial(_call, volume_class, name, *arguments, **OPTIONS))
    # As Volume.create would make one.
    volume = volume_class("mine", "mine", token="token", **taken_by(volume_class.__init__))
    for name in contents:
        content = ("content",) if name == "write_file" else ()
        # Again, since volumes take no ``proxy=`` up to 2.27.
        uses = partial(_call, volume, name, "/a b.txt", *content, **CONNECTION)
        await answer(f"Volume.{name}", uses)


async def use_secrets() -> None:
    secret: Any = getattr(e2b, f"{_PREFIX}Secret", None)
    uses: dict[str, Callable[[], Awaitable[Any] | Any]] = {
        "create": lambda: secret.create("mine", "value", **OPTIONS),
        "get_info": lambda: secret.get_info("mine", **OPTIONS),
        "update": lambda: secret.update("mine", "value", **OPTIONS),
        "destroy": lambda: secret.destroy("mine", **OPTIONS),
        "list": lambda: secret.list(**OPTIONS).next_items(),
    }
    if secret is None:
        lacks(*(f"Secret.{name}" for name in uses))
        return
    for name, use in uses.items():
        await answer(f"Secret.{name}", use)


def _build(template: Any, shape: Callable[[], Any]) -> Any:
    return template.build(shape(), alias="mine", **taken_by(template.build))


def _call(owner: Any, method: str, *arguments: Any, **options: Any) -> Any:
    return getattr(owner, method)(*arguments, **options)
