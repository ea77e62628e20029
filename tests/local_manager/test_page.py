"""The page's routes: who is shown what. What it looks like is in tests/browser."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from kruise_autopatch_local import LocalManager
from support import fresh, loopback_tls

from .clients import PATIENTLY, Sandbox

# What makes a browser of a client.
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def browser(manager: LocalManager) -> Iterator[httpx.Client]:
    """A client with the cookie, and with what a browser says of a window."""
    window = {**BROWSER, "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "none"}
    with httpx.Client(
        base_url=manager.url,
        headers=window,
        **PATIENTLY,
        follow_redirects=True,
    ) as client:
        assert client.get(manager.page_link()).status_code == 200
        yield client


@pytest.fixture
def page(browser: httpx.Client) -> httpx.Client:
    """The same, as the page's own script asks."""
    (key,) = re.findall('name="page-key" content="(.*?)"', browser.get("/local/").text)
    browser.headers.update(
        {"X-Page-Key": key, "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"}
    )
    return browser


DATA = ("state", "sandboxes/x/list", "sandboxes/x/read", "sandboxes/x/output")


def test_a_link_is_used_up_by_its_first_use(manager: LocalManager) -> None:
    link = manager.page_link()
    with httpx.Client(headers=BROWSER, **PATIENTLY) as client:
        # Not by a look at it, nor by another site's page, nor in a frame.
        assert client.head(link).status_code == 401
        assert client.get(link, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
        assert client.get(link, headers={"Sec-Fetch-Dest": "iframe"}).status_code == 403
        first = client.get(link)
        assert (first.status_code, first.headers["location"]) == (303, "/local/")
        cookie = first.headers["set-cookie"].lower()
        assert all(part in cookie for part in ("httponly", "samesite=strict", "path=/local/;"))
        second = client.get(link)
        assert second.status_code == 403
        assert "set-cookie" not in second.headers
        assert second.text.startswith("This link has been used")


def test_a_program_is_told_what_the_real_server_tells_it(
    manager: LocalManager, plain: httpx.Client
) -> None:
    assert plain.get("/").status_code == 500
    assert plain.get("/", headers=BROWSER).headers["location"] == "/local/"
    assert plain.get("/?token=", headers=BROWSER).status_code == 403


def test_over_https_and_past_a_proxy(
    certificates: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with LocalManager(**loopback_tls.https(certificates)) as manager:
        link = manager.page_link()
        assert link.startswith(f"{manager.url}/?token=")
        answer = httpx.get(link, headers=BROWSER, **PATIENTLY, verify=False)
        assert "; secure" in answer.headers["set-cookie"].lower()
        with manager.fault("502", path="/kruise/api/teams") as fault:
            url = f"{manager.url}/kruise/api/teams"
            assert httpx.get(url, **PATIENTLY, verify=False).status_code == 502
        assert fault.met == 1


def test_without_the_cookie_there_is_nothing(manager: LocalManager, plain: httpx.Client) -> None:
    for path in ("/local/", *(f"/local/{each}" for each in DATA)):
        answer = plain.get(path)
        assert answer.status_code == 401
        assert manager.api_key not in answer.text
    assert plain.post("/local/links").status_code == 401


def test_the_cookie_alone_gives_no_data(browser: httpx.Client, manager: LocalManager) -> None:
    for path in DATA:
        assert browser.get(f"/local/{path}").status_code == 401
        assert browser.get(f"/local/{path}", headers={"X-Page-Key": "x"}).status_code == 401


@pytest.mark.parametrize("what", ["empty", "iframe", "object", "script", "worker"])
def test_it_is_shown_in_a_window_of_its_own_alone(browser: httpx.Client, what: str) -> None:
    answer = browser.get("/local/", headers={"Sec-Fetch-Dest": what})
    assert answer.status_code == 403
    assert "page-key" not in answer.text


def test_the_policy_lets_nothing_else_in(browser: httpx.Client) -> None:
    answer = browser.get("/local/")
    policy = answer.headers["content-security-policy"]
    (nonce,) = set(re.findall("nonce-([^']+)", policy))
    assert policy == (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert re.findall('<(script|style) nonce="(.*?)">', answer.text) == [
        ("style", nonce),
        ("script", nonce),
    ]
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    # A new one each time.
    assert nonce not in browser.get("/local/").text


def test_the_state(page: httpx.Client, manager: LocalManager, sandbox: Sandbox) -> None:
    state = page.get("/local/state").json()
    assert state["variables"] == manager.environment()
    (shown,) = [each for each in state["sandboxes"] if each["id"] == sandbox.id]
    assert (shown["state"], shown["template"]) == ("running", "base")
    last = state["requests"][-1]["number"]
    host = f"49983-{sandbox.id}.localhost"
    sandbox.client.get(f"{sandbox.url(3000)}/a?secret=x")
    sandbox.client.get(f"{manager.url}/b", headers={"Host": host})
    sandbox.client.get(f"{manager.url}/teams", headers={"Host": "api.localhost"})
    sandbox.client.get(f"{manager.url}/none")
    requests = page.get("/local/state", params={"after": last}).json()["requests"]
    assert [(each["private"], each["native"]) for each in requests] == [
        (f"/kruise/{sandbox.id}/3000/a", f"https://3000-{sandbox.id}.e2b.app/a"),
        (f"/kruise/{sandbox.id}/49983/b", f"https://49983-{sandbox.id}.e2b.app/b"),
        ("/kruise/api/teams", "https://api.e2b.app/teams"),
        ("/none", ""),
    ]
    assert [each["status"] for each in requests] == [503, 401, 401, 500]
    for odd in ("x", "-1", "\u00b2", "9" * 5000):
        assert page.get("/local/state", params={"after": odd}).status_code == 200


def test_files(page: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.run("mkdir d; printf hello > d/a; touch d/empty; head -c 70000 /dev/zero > d/long")

    def ask(what: str, path: str) -> Any:
        url = f"/local/sandboxes/{sandbox.id}/{what}"
        return page.get(url, params={"path": path}).json()

    entries = ask("list", "/home/user/d")["entries"]
    assert sorted(entry["name"] for entry in entries) == ["a", "empty", "long"]
    assert ask("read", "/home/user/d/a") == {"text": "hello", "isWhole": True}
    assert ask("read", "/home/user/d/empty") == {"text": "", "isWhole": True}
    long = ask("read", "/home/user/d/long")
    assert (len(long["text"]), long["isWhole"]) == (65536, False)
    for what in ("list", "read"):
        assert "error" in ask(what, "/no/such")
    gone = page.get("/local/sandboxes/nope/list", params={"path": "/"}).json()
    assert gone == {"error": "the sandbox does not run"}


def output(page: httpx.Client, sandbox: Sandbox) -> list[tuple[str, list[list[str]]]]:
    shown = page.get(f"/local/sandboxes/{sandbox.id}/output").json()
    return [(each["title"], each["parts"]) for each in shown]


def test_output_of_commands_in_either_codec(page: httpx.Client, sandbox: Sandbox, sdk: Any) -> None:
    sandbox.run("echo one; exit 3")
    sdk.commands.run("echo two")
    assert output(page, sandbox) == [
        ("echo one; exit 3", [["stdout", "one\n"], ["end", "exit status 3"]]),
        ("echo two", [["stdout", "two\n"], ["end", "exit status 0"]]),
    ]
    # StartRequest(process=ProcessConfig(cmd="true")), in protobuf.
    message = b"\x0a\x06\x0a\x04true"
    headers = {"Content-Type": "application/connect+proto"}
    content = b"\0\0\0\0\x08" + message
    sandbox.envd("POST", "/process.Process/Start", content=content, headers=headers)
    assert output(page, sandbox)[2:] == [("true", [["end", "exit status 0"]])]


def test_output_of_code(page: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.run_code("print('out'); 1 + 1")
    sandbox.run_code("1 / 0")
    assert output(page, sandbox) == [
        ("print('out'); 1 + 1", [["stdout", "out\n"], ["result", "2\n"], ["end", "done"]]),
        ("1 / 0", [["stderr", "ZeroDivisionError: division by zero\n"], ["end", "done"]]),
    ]


def test_output_is_bounded_and_arrives_whole_all_the_same(
    page: httpx.Client, sandbox: Sandbox
) -> None:
    assert len(sandbox.run("head -c 1000000 /dev/zero | tr '\\0' a; echo end")) == 1_000_004
    ((_, parts),) = output(page, sandbox)
    text = "".join(part for _, part in parts)
    assert 0 < len(text) <= 16 * 1024
    assert text.endswith("aend\nexit status 0")


def test_a_stream_that_makes_no_sense_passes_unheard(page: httpx.Client, sandbox: Sandbox) -> None:
    answer = sandbox.client.post(f"{sandbox.url(49999)}/execute", json={"code": 3})
    assert answer.status_code == 422
    assert sandbox.stream("process.Process/Start", process=3)[-1]["error"]
    assert all(parts == [] for _, parts in output(page, sandbox))
    assert sandbox.run("echo hello") == "hello\n"


def test_the_link_is_printed_at_the_start_for_people() -> None:
    command = [sys.executable, "-m", "kruise_autopatch_local"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=fresh.environment()
    ) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        url = server.stdout.readline().strip()
        lines = [server.stderr.readline() for _ in range(2)]
        (link,) = re.findall(r"to watch, open (\S+)", "".join(lines))
        assert link.startswith(f"{url}/?token=")
        assert httpx.get(link, headers=BROWSER, **PATIENTLY).status_code == 303
        server.terminate()
        # Nothing of what was printed for programs is another than before.
        rest = server.stdout.read()
        assert len(rest.splitlines()) == 4
        assert "token" not in rest
