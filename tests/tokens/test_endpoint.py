"""An endpoint for tokens that hangs, drips, or does not end; the real SDK, real sockets."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from support import forked
from support.serving import Handler, Server
from tokens.clock import jwt

HEADER = "e2b-traffic-access-token"

# What the endpoint does to the sandboxes of these names.
HANGING = ("hang", "drip_headers", "drip_a_body")

# A program that uses its sandboxes PASSED seconds after it got their tokens.
PROGRAM = """
import asyncio, inspect, json, os
import e2b
from e2b import ConnectionConfig
from packaging.version import Version

async def settle(value):
    return await value if inspect.isawaitable(value) else value

async def raised(call):
    try:
        return await settle(call())
    except Exception as error:
        return [type(error).__name__, str(error)]

async def use(sandbox_id):
    C = getattr(e2b, CLIENT)
    sandbox = C(sandbox_id=sandbox_id, sandbox_domain=None, envd_version=Version("0.2.10"),
                envd_access_token=None, traffic_access_token=TOKEN,
                connection_config=ConnectionConfig(request_timeout=TIMEOUT))
    keeper = sandbox.connection_config._kruise_traffic
    now = keeper._clock
    keeper._clock = lambda: now().after(PASSED)
    calls = [sandbox.is_running, lambda: sandbox.files.read("/a"),
             lambda: sandbox.commands.kill(7)]
    outcomes = [await raised(call) for call in calls]
    # This one wants to wait for a new token, but not long.
    sandbox.connection_config.request_timeout = min(TIMEOUT, PATIENCE)
    return [*outcomes, await raised(sandbox.refresh_traffic_access_token)]

async def main():
    print(json.dumps({name: await use(name) for name in BEHAVIOURS}), flush=True)
    # Renewals may be under way.
    os._exit(0)

asyncio.run(main())
"""


class _Handler(Handler):
    protocol_version = "HTTP/1.1"
    server: _Endpoint

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.endswith("/traffic-access-token"):
            behaviour = self.path.split("/")[-2]
            self.server.asked[behaviour].set()
            self.close_connection = True
            with suppress(OSError):
                getattr(self, behaviour)()
        else:
            self._answer(b"{}" if body else b"", "application/json")

    def do_GET(self) -> None:
        if self.path.partition("?")[0].endswith("/files"):
            # A renewal has begun before this, and may be slow to arrive.
            self.server.asked[self.path.split("/")[2]].wait(60)
        self._answer(b"text", "text/plain")

    def _answer(self, body: bytes, kind: str) -> None:
        self.server.requests.append((self.path, self.headers.get(HEADER)))
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    # What it does instead of giving a token to the sandbox of that name.

    def hang(self) -> None:
        self.server.over.wait()

    def drip_a_body(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        self._drip()

    def drip_headers(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Never-Ending: ")
        self._drip()

    def _drip(self) -> None:
        while not self.server.over.is_set():
            self.wfile.write(b" ")
            time.sleep(0.01)

    def never_end(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 400000000\r\n\r\n")
        while not self.server.over.is_set():
            self.wfile.write(b" " * 65536)
            self.server.sent += 65536


class _Endpoint(Server):
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(_Handler)
        self.asked = {name: threading.Event() for name in (*HANGING, "never_end")}
        self.over = threading.Event()
        self.requests: list[tuple[str, str | None]] = []
        self.sent = 0

    def __exit__(self, *exception: object) -> None:
        self.over.set()
        super().__exit__(*exception)


@pytest.fixture
def endpoint() -> Iterator[_Endpoint]:
    with _Endpoint() as server:
        yield server


CLIENTS = pytest.mark.parametrize("client", ["Sandbox", "AsyncSandbox"])


def run(
    server: _Endpoint,
    client: str,
    behaviours: tuple[str, ...],
    token: str,
    passed: float,
    timeout: float,
    patience: float,
) -> dict[str, Any]:
    names = {
        "CLIENT": client,
        "BEHAVIOURS": behaviours,
        "TOKEN": token,
        "PASSED": passed,
        "TIMEOUT": timeout,
        "PATIENCE": patience,
    }
    program = "".join(f"{name} = {value!r}\n" for name, value in names.items()) + PROGRAM
    variables = {
        "KRUISE_E2B_PATCH": "1",
        "KRUISE_E2B_HTTPS": "0",
        "E2B_DOMAIN": server.domain,
        "E2B_API_KEY": "e2b_00",
    }
    outcomes: dict[str, Any] = json.loads(
        forked.patched.output(program, variables).splitlines()[-1]
    )
    assert set(outcomes) == set(behaviours)
    return outcomes


@CLIENTS
def test_a_token_that_is_still_good_is_sent_meanwhile(endpoint: _Endpoint, client: str) -> None:
    # It is due for renewal, and good for another minute: too short for one who waits.
    token = jwt(time.time() + 3600)
    outcomes = run(endpoint, client, HANGING, token, 3540, timeout=60, patience=0.3)
    assert outcomes == {name: [True, "text", True, token] for name in HANGING}
    assert all(endpoint.asked[name].is_set() for name in HANGING)
    assert [sent for _, sent in endpoint.requests] == [token] * 9


@CLIENTS
def test_without_one_nobody_waits_longer_than_he_said(endpoint: _Endpoint, client: str) -> None:
    token = jwt(time.time() + 3600)
    outcomes = run(endpoint, client, HANGING, token, 3600, timeout=0.3, patience=0.3)
    assert endpoint.requests == []
    for name, refused in outcomes.items():
        start = f"The traffic access token of sandbox {name} has expired and could not be renewed"
        for kind, text in refused:
            assert kind == "TrafficAccessTokenExpired"
            assert text.startswith(start)
            assert text.endswith(". Nothing was sent.")


@CLIENTS
def test_a_reply_is_read_as_far_as_a_real_one_goes(endpoint: _Endpoint, client: str) -> None:
    token = jwt(time.time() + 3600)
    outcomes = run(endpoint, client, ("never_end",), token, 3600, timeout=60, patience=60)
    for kind, text in outcomes["never_end"]:
        assert kind == "TrafficAccessTokenExpired"
        assert "the server's reply is longer than 65536 bytes" in text
    assert endpoint.requests == []
    # The rest is what buffers on the way hold.
    assert endpoint.sent < 40_000_000
