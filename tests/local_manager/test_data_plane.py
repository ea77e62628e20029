"""Paths below `/kruise/`: what they mean, and what is said when they mean nothing."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator

import httpx
import pytest

from support.serving import Handler, Server

from .clients import Sandbox


class Echo(Handler):
    """Answers with what it was asked."""

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        reply = f"{self.requestline}\n{self.headers['Host']}\n{body.decode()}".encode()
        self.send_response(203)
        self.send_header("X-Twice", "1")
        self.send_header("X-Twice", "2")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    do_POST = do_GET


@pytest.fixture
def echo_port() -> Iterator[int]:
    """Of a server that listens on every address, as one in a pod has to."""
    with Server(Echo, ("0.0.0.0", 0)) as server:
        yield server.server_port


@pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is Linux's alone")
def test_a_server_on_127_0_0_1_is_not_reached(sandbox: Sandbox) -> None:
    with Server(Echo) as server:
        response = sandbox.client.get(sandbox.url(server.server_port))
    assert response.status_code == 503
    assert response.headers["content-type"] == "text/plain"


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
    return port


def test_an_unknown_sandbox(plain: httpx.Client) -> None:
    response = plain.get("/kruise/default--nope/49983/health")
    assert response.status_code == 502
    assert response.headers["content-type"].startswith("text/plain")
    assert response.text == "API Error: healthy sandbox default--nope not found"


def test_a_paused_or_killed_sandbox_is_not_healthy(api: httpx.Client, sandbox: Sandbox) -> None:
    health = f"{sandbox.url()}/health"
    assert sandbox.client.get(health).status_code == 204
    api.post(f"/sandboxes/{sandbox.id}/pause")
    assert sandbox.client.get(health).status_code == 502
    api.post(f"/sandboxes/{sandbox.id}/connect", json={"timeout": 60})
    assert sandbox.client.get(health).status_code == 204
    api.delete(f"/sandboxes/{sandbox.id}")
    assert sandbox.client.get(health).status_code == 502


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/kruise/default--nope", 500),
        ("/kruise/default--nope/49983?x=1", 500),
        ("/kruise/default--nope/http/x", 500),
        ("/kruise/default--nope/99999999999999999999/x", 500),
        ("/kruise/default--nope/-1/x", 400),
        ("/kruise/default--nope/0/x", 502),
        ("/kruise/default--nope/+49983/x", 502),
        ("/kruise/default--nope/65536/x", 400),
        ("/kruise/default--nope/49983", 502),
        ("/kruise/default--nope/49983/?x=1", 502),
    ],
)
def test_which_paths_parse(plain: httpx.Client, path: str, status: int) -> None:
    response = plain.get(path)
    assert response.status_code == status
    assert response.headers["content-type"].startswith("text/plain")


def test_the_sdks_headers_route_too(plain: httpx.Client, sandbox: Sandbox) -> None:
    headers = {"E2b-Sandbox-Id": sandbox.id, "E2b-Sandbox-Port": "49983"}
    assert plain.get("/health", headers=headers).status_code == 204


def test_other_ports_are_proxied_verbatim(sandbox: Sandbox, echo_port: int) -> None:
    target = "/a%2Fb//c/../d?q=%20&r=a+b"
    request = sandbox.client.build_request(
        "POST",
        sandbox.url(echo_port),
        content=iter([b"one ", b"two"]),
        headers={"Content-Length": "7"},
        extensions={"target": f"/kruise/{sandbox.id}/{echo_port}{target}".encode()},
    )
    response = sandbox.client.send(request)
    assert response.status_code == 203
    assert response.headers.get_list("x-twice") == ["1", "2"]
    assert response.text.splitlines() == [
        f"POST {target} HTTP/1.1",
        sandbox.domain,
        "one two",
    ]


def test_nothing_listens(sandbox: Sandbox, closed_port: int) -> None:
    response = sandbox.client.get(sandbox.url(closed_port))
    assert response.status_code == 503
    assert response.text.startswith("upstream connect error")


def test_nothing_listens_for_a_websocket(sandbox: Sandbox, closed_port: int) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus

    async def talk() -> None:
        async with connect(f"ws{sandbox.url(closed_port)[len('http') :]}/", proxy=None):
            pass

    with pytest.raises(InvalidStatus) as refused:
        asyncio.run(talk())
    assert refused.value.response.status_code == 503


def test_websockets_are_proxied(sandbox: Sandbox) -> None:
    from websockets.asyncio.client import connect
    from websockets.asyncio.server import ServerConnection, serve

    async def answer(socket: ServerConnection) -> None:
        assert socket.request is not None
        await socket.send(socket.request.path)
        async for message in socket:
            await socket.send(message)
            await socket.close(4000, "enough")

    async def talk() -> None:
        async with serve(answer, "0.0.0.0", 0) as server:
            port = server.sockets[0].getsockname()[1]
            url = f"ws{sandbox.url(port)[len('http') :]}/a?b=c"
            async with connect(url, proxy=None) as socket:
                assert await socket.recv() == "/a?b=c"
                await socket.send(b"\0bytes")
                assert await socket.recv() == b"\0bytes"
                await socket.wait_closed()
                assert (socket.close_code, socket.close_reason) == (4000, "enough")

    asyncio.run(talk())
