"""The page of the local sandbox-manager in a real browser, and what other sites' pages can do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from kruise_autopatch_local import LocalManager
from support import fresh
from support.serving import Handler, Server

from .chromium import Chromium, Tab

PROGRAM = """
from e2b import Sandbox

sandbox = Sandbox.create(metadata={"note": "<img src=x onerror=document.title='!'>"})
sandbox.files.write("/home/user/<b>letter.txt", "Dear <i>reader</i>")
sandbox.commands.run("echo '<script>document.title=1</script>'; echo oh >&2")
result = sandbox.sandbox_id
"""

TEXT = "document.body.innerText"


@pytest.fixture(scope="module")
def manager() -> Iterator[LocalManager]:
    with LocalManager() as manager:
        yield manager


@pytest.fixture(scope="module")
def sandbox_id(manager: LocalManager) -> Any:
    """Of a sandbox that a program of a user's has made and used."""
    return fresh.value(PROGRAM, manager.environment())


def has(text: str) -> str:
    return f"{TEXT}.includes({json.dumps(text)})"


def test_the_page_shows_how_to_connect_and_what_a_program_does(
    chromium: Chromium, manager: LocalManager, sandbox_id: str
) -> None:
    with chromium.open(manager.page_link()) as tab:
        for name, value in manager.environment().items():
            tab.wait_for(has(f"export {name}={value}"))
        tab.wait_for(has(sandbox_id))
        # Of the API and of a port, in both forms.
        tab.wait_for(has("/kruise/api/sandboxes"))
        tab.wait_for(has("https://api.e2b.app/sandboxes"))
        tab.wait_for(has(f"/kruise/{sandbox_id}/49983/process.Process/Start"))
        tab.wait_for(has(f"https://49983-{sandbox_id}.e2b.app/process.Process/Start"))
        # The command, what it has said, and how it ended.
        tab.wait_for(has("echo oh >&2"))
        said = "[...document.querySelectorAll('#output .{}')].map(e => e.textContent).join('')"
        tab.wait_for(f"{said.format('stderr')} === 'oh\\n'")
        expected = json.dumps("<script>document.title=1</script>\n")
        tab.wait_for(f"{said.format('stdout')} === {expected}")
        tab.wait_for(has("exit status 0"))
        # A file, whose name is no markup either.
        row = (
            "[...document.querySelectorAll('#files button')].find(e => /letter/.test(e.innerText))"
        )
        tab.wait_for(f"{row}.innerText.includes('<b>letter.txt')")
        tab.value(f"{row}.click()")
        tab.wait_for(has("Dear <i>reader</i>"))
        assert tab.value("document.title") == "Local sandbox-manager"
        assert tab.value("document.querySelectorAll('body b, body i, body img').length") == 0


def test_it_is_live(chromium: Chromium, manager: LocalManager) -> None:
    with chromium.open(manager.page_link()) as tab:
        tab.wait_for("document.getElementById('news').innerText === 'live'")
        with httpx.Client(headers={"X-API-Key": manager.api_key}, trust_env=False) as client:
            url = f"{manager.url}/kruise/api/sandboxes"
            made = client.post(url, json={"templateID": "base"}).json()["sandboxID"]
            rows = "document.getElementById('sandboxes').innerText"
            tab.wait_for(f"{rows}.includes({made!r})")
            client.delete(f"{url}/{made}")
            tab.wait_for(f"!{rows}.includes({made!r})")


def test_the_token_is_gone_from_the_url_and_the_cookie_is_for_the_page_alone(
    chromium: Chromium, manager: LocalManager
) -> None:
    with chromium.open(manager.page_link()) as tab:
        tab.wait_for(has("export E2B_DOMAIN"))
        assert tab.value("location.href") == f"{manager.url}/local/"
        assert tab.value("document.cookie") == ""
        (cookie,) = tab.call("Network.getCookies")["cookies"]
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (
            True,
            "Strict",
            "/local/",
        )
        # It opens the page again, without a link.
        tab.call("Page.navigate", url=manager.url)
        tab.wait_for(f"location.href === {manager.url + '/local/'!r}")
        tab.wait_for(has("export E2B_DOMAIN"))


def test_a_link_opens_the_page_once(chromium: Chromium, manager: LocalManager) -> None:
    link = manager.page_link()
    with chromium.open(link) as first, chromium.open(link) as second:
        first.wait_for(has("export E2B_DOMAIN"))
        second.wait_for(has("This link has been used"))
        assert manager.api_key not in second.value(TEXT)


@pytest.mark.parametrize("path", ["", "local/", "local/state", "?token=", "?token=x"])
def test_without_the_cookie_nothing_is_shown(
    chromium: Chromium, manager: LocalManager, sandbox_id: str, path: str
) -> None:
    with chromium.open(f"{manager.url}/{path}") as tab:
        tab.wait_for(f"{TEXT} !== ''")
        text = tab.value("document.documentElement.outerHTML")
        assert "page-key" not in text
        assert manager.api_key not in text
        assert sandbox_id not in text


# --- other pages ----------------------------------------------------------------------------


class Empty(Handler):
    """A page of somebody else's, without anything on it."""

    def do_GET(self) -> None:
        body = b"<!doctype html><title>another</title>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        # As a page would that wants to see all that its browser asks of this address.
        self.send_header("Service-Worker-Allowed", "/")
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def other() -> Iterator[int]:
    """The port of a server of pages; a sandbox's, or another site's."""
    with Server(Empty, ("0.0.0.0", 0)) as server:
        yield server.server_port


def outcome(tab: Tab, expression: str) -> Any:
    """What a promise becomes, or `failed`."""
    found = tab.call(
        "Runtime.evaluate",
        expression=f"({expression}).catch(error => 'failed')",
        awaitPromise=True,
        returnByValue=True,
    )
    return found["result"].get("value")


def test_a_sandboxs_page_cannot_read_ours(
    chromium: Chromium, manager: LocalManager, sandbox_id: str, other: int
) -> None:
    """It has the same origin, and the browser sends the cookie with its requests, too."""
    with chromium.open(manager.page_link()) as tab:
        tab.wait_for(has("export E2B_DOMAIN"))
        key = tab.value("document.querySelector('meta[name=page-key]').content")
        tab.call("Page.navigate", url=f"{manager.url}/kruise/{sandbox_id}/{other}/")
        tab.wait_for("document.title === 'another'")
        assert tab.value("origin") == manager.url
        status = "fetch({}, {}).then(reply => reply.status)"
        assert outcome(tab, status.format("'/local/'", "{}")) == 403
        assert outcome(tab, status.format("'/local/state'", "{}")) == 401
        # The key is all that it lacks.
        with_key = json.dumps({"headers": {"X-Page-Key": key}})
        assert outcome(tab, status.format("'/local/state'", with_key)) == 200
        frame = (
            "new Promise(done => { const frame = document.createElement('iframe');"
            " frame.src = '/local/'; frame.onload = () => done("
            "frame.contentDocument ? frame.contentDocument.documentElement.outerHTML : 'nothing');"
            " document.body.append(frame); })"
        )
        assert manager.api_key not in outcome(tab, frame)
        headers = "fetch('').then(reply => reply.headers.get('service-worker-allowed'))"
        assert outcome(tab, headers) is None


@pytest.fixture
def foreign(chromium: Chromium, manager: LocalManager, other: int) -> Iterator[Tab]:
    """A page of another site, in a browser that knows our page."""
    with chromium.open(manager.page_link()) as tab:
        tab.wait_for(has("export E2B_DOMAIN"))
        tab.call("Page.navigate", url=f"http://localhost:{other}/")
        tab.wait_for("document.title === 'another'")
        yield tab


def test_another_sites_post_reaches_neither_code_nor_the_page(
    foreign: Tab, manager: LocalManager, sandbox_id: str
) -> None:
    before = manager.mark()
    code = json.dumps({"code": "open('/tmp/was-here', 'w').close()"})
    for path in (f"/kruise/{sandbox_id}/49999/execute", "/local/faults", "/local/links"):
        # A simple request: the browser sends it without asking first.
        options = {"method": "POST", "mode": "no-cors", "body": code, "credentials": "include"}
        outcome(foreign, f"fetch({manager.url + path!r}, {json.dumps(options)})")
        json_type = {
            "method": "POST",
            "body": code,
            "headers": {"Content-Type": "application/json"},
        }
        assert (
            outcome(foreign, f"fetch({manager.url + path!r}, {json.dumps(json_type)})") == "failed"
        )
    requests = manager.requests(since=before)
    assert [request["status"] for request in requests] == [403] * len(requests)
    assert requests
    for path in ("", "local/", "local/state"):
        url = f"{manager.url}/{path}"
        assert outcome(foreign, f"fetch({url!r}, {{credentials: 'include'}})") == "failed"


def test_a_link_of_another_site_leads_nowhere(foreign: Tab, manager: LocalManager) -> None:
    foreign.value(f"location.href = {manager.url + '/'!r}")
    foreign.wait_for(has("pages of other sites are not served"))


def test_a_name_that_is_made_to_lead_here_shows_nothing(
    manager: LocalManager, sandbox_id: str
) -> None:
    """DNS rebinding: the browser takes evil.example for 127.0.0.1, and its page for ours."""
    from .chromium import installed, running

    program = installed()
    if program is None:
        pytest.skip("Chromium is not installed")
    port = manager.url.rpartition(":")[2]
    rules = "--host-resolver-rules=MAP evil.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    before = manager.mark()
    link = manager.page_link().replace("127.0.0.1", "evil.example")
    with running(program, rules) as browser, browser.open(link) as tab:
        tab.wait_for(has("is not known as"))
        options = {"method": "POST", "body": "{}", "headers": {"Content-Type": "application/json"}}
        for path in (f"/kruise/{sandbox_id}/49999/execute", "/kruise/api/sandboxes", "/local/"):
            url = f"http://evil.example:{port}{path}"
            ask = f"fetch({url!r}, {json.dumps(options)}).then(reply => reply.status)"
            assert outcome(tab, ask) == 421
    requests = manager.requests(since=before)
    assert {request["status"] for request in requests} == {421}
