"""The proxy's connections to a program in a sandbox: kept for a moment, and never relied upon."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Callable

import httpx
import pytest

from kruise_autopatch_local.connections import Gathering

from .clients import Sandbox

REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Program:
    """Serves one connection at a time; `serve` is handed each, and what came over the others."""

    def __init__(self, serve: Callable[[Program, socket.socket], None]) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._serve = serve
        self._listening = socket.create_server(("0.0.0.0", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                self._serve(self, connection)

    def request(self, connection: socket.socket) -> bytes:
        """The next request, with its body if it is chunked; nothing if there is none."""
        received = b""
        end = b"\r\n\r\n"
        while not received.endswith(end):
            data = connection.recv(65536)
            if not data:
                return b""
            received += data
            if b"chunked" in received:
                end = b"0\r\n\r\n"
        self.requests.append(received)
        return received

    def close(self) -> None:
        self._listening.close()


def faithful(program: Program, connection: socket.socket) -> None:
    while program.request(connection):
        connection.sendall(REPLY)


def fickle(program: Program, connection: socket.socket) -> None:
    """Ends each connection at its second request, without a word."""
    program.request(connection)
    connection.sendall(REPLY)
    program.request(connection)


def interrupted(program: Program, connection: socket.socket) -> None:
    program.request(connection)
    connection.sendall(REPLY[:-1])


def talkative(program: Program, connection: socket.socket) -> None:
    """Sends more than it was asked for."""
    program.request(connection)
    connection.sendall(REPLY + REPLY)
    connection.recv(1)


@pytest.fixture
def faithful_one() -> Iterator[Program]:
    with closing(Program(faithful)) as program:
        yield program


@pytest.mark.long
def test_a_connection_is_used_again(sandbox: Sandbox, faithful_one: Program) -> None:
    # Whatever pauses the machine makes, some of these follow each other within a second.
    for _ in range(50):
        assert sandbox.client.get(sandbox.url(faithful_one.port)).text == "ok"
    assert len(faithful_one.requests) == 50
    assert faithful_one.connections < 50


def test_what_changes_something_gets_a_connection_of_its_own(
    sandbox: Sandbox, faithful_one: Program
) -> None:
    for _ in range(3):
        assert sandbox.client.delete(sandbox.url(faithful_one.port)).text == "ok"
    assert faithful_one.connections == 3


def test_a_connection_that_has_ended_is_replaced(sandbox: Sandbox) -> None:
    with closing(Program(fickle)) as program:
        for _ in range(5):
            assert sandbox.client.get(sandbox.url(program.port)).text == "ok"


def test_what_nobody_asked_for_reaches_nobody(sandbox: Sandbox) -> None:
    with closing(Program(talkative)) as program:
        for _ in range(3):
            assert sandbox.client.get(sandbox.url(program.port)).content == b"ok"
        assert program.connections == 3


def test_a_reply_that_ends_too_early_is_no_reply(sandbox: Sandbox) -> None:
    with closing(Program(interrupted)) as program, pytest.raises(httpx.RemoteProtocolError):
        sandbox.client.get(sandbox.url(program.port))


def test_a_body_of_unknown_length(sandbox: Sandbox, faithful_one: Program) -> None:
    parts = iter([b"one", b"two"])
    reply = sandbox.client.post(sandbox.url(faithful_one.port), content=parts)
    assert reply.text == "ok"
    (request,) = faithful_one.requests
    assert b"transfer-encoding: chunked" in request.lower()
    assert b"one" in request
    assert b"two" in request


def test_an_agent_enters_no_namespace_but_a_sandboxes() -> None:
    """It signals all that it sees: in this machine's own namespace that would be everything."""
    from kruise_autopatch_local.sandbox import nursery

    with pytest.raises(ProcessLookupError):
        nursery._enter(os.getpid(), [])


class _Recording(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []

    def write(self, data: Any) -> None:
        self.sent.append(data)

    def close(self) -> None:
        self.sent.append(b"closed")


def test_the_pieces_of_a_turn_are_sent_at_once() -> None:
    async def written() -> list[bytes]:
        recording = _Recording()
        gathering = Gathering(recording)
        gathering.write(b"head ")
        gathering.write(b"body")
        assert recording.sent == []
        await asyncio.sleep(0)
        gathering.write(b"the last ")
        gathering.write(b"words")
        gathering.close()
        return recording.sent

    assert asyncio.run(written()) == [b"head body", b"the last words", b"closed"]


def test_what_is_large_does_not_wait_for_the_end_of_a_turn() -> None:
    async def written() -> list[int]:
        recording = _Recording()
        gathering = Gathering(recording)
        for _ in range(5):
            gathering.write(bytes(40_000))
        return [len(data) for data in recording.sent]

    assert asyncio.run(written()) == [80_000, 80_000]
