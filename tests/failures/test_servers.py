"""Servers and sandboxes that are not there, or refuse: the SDK's own errors, untouched."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from kruise_autopatch_local import LocalManager
from support import forked
from support.serving import Handler, Server

ON = {"KRUISE_E2B_PATCH": "1", "KRUISE_E2B_HTTPS": "0", "E2B_API_KEY": "some-api-key"}

# Prints the error, or the value, of a function as JSON.
REPORT = """
import json, os, sys, asyncio, inspect
from e2b import Sandbox, AsyncSandbox
def report(function):
    try:
        value = function()
        if inspect.isawaitable(value):
            value = asyncio.run(value)
    except Exception as error:
        outcome = [type(error).__module__ + "." + type(error).__name__, str(error)]
    else:
        outcome = ["no error", repr(value)]
    print(json.dumps(outcome), flush=True)
    # The Rust transport of e2b 2.38 and newer may abort the interpreter's shutdown after async
    # use, patched or not.
    os._exit(0)
"""


@pytest.fixture(scope="module")
def manager() -> Iterator[LocalManager]:
    with LocalManager(api_key=ON["E2B_API_KEY"]) as manager:
        yield manager


def _error(statement: str, variables: dict[str, str]) -> tuple[str, str]:
    way = forked.patched if "KRUISE_E2B_PATCH" in variables else forked.native
    kind, message = json.loads(way.output(REPORT + statement, variables).splitlines()[-1])
    return kind, message


@pytest.fixture
def closed_port() -> Iterator[int]:
    # Bound, never listening: nobody else can take the port during the test.
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


@pytest.mark.parametrize("client", ["Sandbox", "AsyncSandbox"])
def test_an_unreachable_manager(client: str, closed_port: int) -> None:
    domain = f"127.0.0.1:{closed_port}"
    kind, _ = _error(f"report(lambda: {client}.create())", {**ON, "E2B_DOMAIN": domain})
    stock = {"E2B_API_KEY": f"e2b_{'0' * 40}", "E2B_API_URL": f"http://{domain}/kruise/api"}
    assert kind == _error(f"report(lambda: {client}.create())", stock)[0]
    assert "Connect" in kind


@pytest.mark.parametrize("client", ["Sandbox", "AsyncSandbox"])
def test_a_wrong_key(client: str, manager: LocalManager) -> None:
    variables = {**ON, "E2B_DOMAIN": manager.domain, "E2B_API_KEY": "wrong"}
    kind, message = _error(f"report(lambda: {client}.create())", variables)
    assert kind == "e2b.exceptions.AuthenticationException"
    assert "401" in message
    assert "Invalid API Key" in message


KEYS = [
    "some-api-key",
    "e2b_6f6b6167010000000c736f6d652d6170692d6b657947a2e62d3ce60d6d",
]


@pytest.mark.parametrize("client", ["Sandbox", "AsyncSandbox"])
@pytest.mark.parametrize("key", KEYS, ids=["raw", "encoded"])
def test_any_form_of_key_is_accepted(client: str, key: str, manager: LocalManager) -> None:
    variables = {**ON, "E2B_DOMAIN": manager.domain, "E2B_API_KEY": key}
    kind, _ = _error(f"report(lambda: {client}.create(timeout=60))", variables)
    assert kind == "no error"


@pytest.mark.parametrize("where", ["native", "patched, native client", "validate_key=True"])
def test_the_keys_of_native_clients_are_checked_as_before(where: str, closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}"
    key = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
    statement = f"report(lambda: Sandbox.create(api_key={key!r}))"
    native = _error(statement, {"E2B_API_URL": url})
    if where == "native":
        with_patch = _error(statement, {**ON, "E2B_DOMAIN": "e2b.app", "E2B_API_URL": url})
    elif where == "patched, native client":
        with_patch = _error(statement, {**ON, "E2B_DOMAIN": "kruise.test", "E2B_API_URL": url})
    else:
        domain = {"E2B_DOMAIN": f"127.0.0.1:{closed_port}"}
        call = "import kruise_autopatch; kruise_autopatch.patch_e2b(False, validate_key=True)\n"
        with_patch = _error(call + statement, domain)
    # The messages of connections that were refused name their URLs.
    assert with_patch[0] == native[0]


def test_an_unknown_sandbox(manager: LocalManager) -> None:
    variables = {**ON, "E2B_DOMAIN": manager.domain}
    kind, message = _error("report(lambda: Sandbox.connect('sbxmissing'))", variables)
    assert kind.startswith("e2b.exceptions.")
    assert "sbxmissing" in message


def test_an_unknown_template(manager: LocalManager) -> None:
    variables = {**ON, "E2B_DOMAIN": manager.domain}
    kind, message = _error("report(lambda: Sandbox.create('no-such-template'))", variables)
    assert kind == "e2b.exceptions.SandboxException"
    assert "400" in message
    assert "Template or Checkpoint not found" in message


DEAD = """
sandbox = Sandbox.create()
sandbox.kill()
"""


@pytest.mark.parametrize(
    "use", ["sandbox.commands.run('true')", "sandbox.files.read('/x')", "sandbox.files.list('/')"]
)
def test_a_dead_sandbox_is_the_sdks_own_error(use: str, manager: LocalManager) -> None:
    variables = {**ON, "E2B_DOMAIN": manager.domain}
    kind, message = _error(f"{DEAD}\nreport(lambda: {use})", variables)
    # The second one in newer releases.
    assert kind in {
        "e2b.exceptions.TimeoutException",
        "e2b.exceptions.SandboxUnreachableException",
    }
    assert "sandbox" in message.lower()


def test_a_dead_sandbox_is_not_running(manager: LocalManager) -> None:
    variables = {**ON, "E2B_DOMAIN": manager.domain}
    assert _error(f"{DEAD}\nreport(lambda: sandbox.is_running())", variables) == (
        "no error",
        "False",
    )


class _HtmlServer(Server):
    """Answers every POST with a page and one status, and remembers the paths."""

    def __init__(self, status: int) -> None:
        super().__init__(_HtmlHandler)
        self.status = status
        self.paths: list[str] = []


class _HtmlHandler(Handler):
    server: _HtmlServer

    def do_POST(self) -> None:
        self.server.paths.append(self.path)
        page = b"<html><body>It works!</body></html>"
        self.send_response(self.server.status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)


CREATE = f"report(lambda: Sandbox.create(api_key='e2b_{'0' * 40}'))"


@pytest.mark.parametrize("status", [200, 201, 404, 502])
def test_a_server_that_answers_html(status: int) -> None:
    with _HtmlServer(status) as server:
        patched = _error(CREATE, {**ON, "E2B_DOMAIN": server.domain})
        stock = _error(CREATE, {"E2B_API_URL": f"http://{server.domain}/kruise/api"})
    assert patched == stock
    assert patched[0] != "no error"


@pytest.mark.parametrize("operation", [CREATE, CREATE.replace("create(", "connect('s1', ")])
def test_an_api_url_elsewhere_keeps_the_sdks_own_route(operation: str) -> None:
    with _HtmlServer(404) as server:
        elsewhere = {"E2B_API_URL": f"http://{server.domain}"}
        _error(operation, elsewhere)
        _error(operation, {**ON, "E2B_DOMAIN": "kruise.test", **elsewhere})
    stock, patched = server.paths
    assert patched == stock
