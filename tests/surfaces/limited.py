"""A sandbox-manager that allows 100 streams on each HTTP/2 connection, as nginx and ALB do (128).

It knows no more than the first moments of a conversation: a sandbox is created, and killed; a
command, a download and a cell begin, and do not end. What it counts is which connection each of
these open streams is on.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.settings
import h11
import loopback_tls

STREAMS_PER_CONNECTION = 100

_START = b'{"event":{"start":{"pid":1}}}'
_CONNECT_MESSAGE = struct.pack(">BI", 0, len(_START)) + _START

# The first bytes of a body that does not end, by the last part of the path.
_ENDLESS = {
    "files": ("application/octet-stream", b"some bytes"),
    "Start": ("application/connect+json", _CONNECT_MESSAGE),
    "execute": ("application/json", b'{"type":"number_of_executions","execution_count":1}\n'),
}


class LimitedServer:
    """On a free port of loopback; serves inside a ``with`` statement, in a thread of its own."""

    def __init__(self, scheme: str, directory: Path, protocols: Iterable[str] = ("h2",)) -> None:
        """
        :param directory: for the certificates
        :param protocols: what ALPN offers
        """
        self._context: ssl.SSLContext | None = None
        variables = {}
        if scheme == "https":
            paths = loopback_tls.issue(directory)
            self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._context.load_cert_chain(paths["chain"], paths["key"])
            self._context.set_alpn_protocols([*protocols, "http/1.1"])
            variables["SSL_CERT_FILE"] = paths["authority"]
        self._variables = {**variables, "KRUISE_E2B_HTTPS": str(scheme == "https").lower()}
        self._created = 0
        # Of each connection, by its number: how many streams are open for whom, that is for a
        # port of a sandbox, such as "box3/49983", or for the API.
        self.open: dict[int, Counter[str]] = {}
        # What the connections that are open now speak.
        self.protocols: dict[int, str] = {}
        self.killed = threading.Event()

    def environment(self) -> dict[str, str]:
        return {
            "KRUISE_E2B_PATCH": "1",
            "E2B_DOMAIN": f"127.0.0.1:{self.port}",
            "E2B_API_KEY": "e2b_00",
            **self._variables,
        }

    def streams(self) -> Counter[str]:
        """How many are open, for whom."""
        return sum(self.open.copy().values(), Counter())

    def __enter__(self) -> LimitedServer:
        started = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(started),))
        self._thread.start()
        started.wait()
        return self

    def __exit__(self, *exception: object) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    async def _serve(self, started: threading.Event) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        # Programs end with streams open.
        self._loop.set_exception_handler(lambda *_: None)
        listener = socket.create_server(("127.0.0.1", 0), backlog=8192)
        self.port = listener.getsockname()[1]
        await self._loop.create_server(
            lambda: _Connection(self), sock=listener, ssl=self._context, backlog=8192
        )
        started.set()
        await self._stopped.wait()

    def reply(self, method: str, path: str) -> tuple[int, str, bytes]:
        """Status, content type and body of an answer that ends."""
        if method == "POST" and path.endswith("/sandboxes"):
            self._created += 1
            sandbox = {
                "sandboxID": f"box{self._created}",
                "templateID": "base",
                "clientID": "",
                "envdVersion": "0.2.10",
            }
            return 201, "application/json", json.dumps(sandbox).encode()
        if method == "DELETE":
            self.killed.set()
        return 204, "application/json", b""


def _owner(path: str) -> str:
    """For whom a request is: ``box3/49983``, or ``api``."""
    parts = path.split("/")
    return "api" if parts[2] == "api" else "/".join(parts[2:4])


class _Connection(asyncio.Protocol):
    """One connection: HTTP/2 if the client chose it by ALPN, else HTTP/1.1."""

    _numbers = 0

    def __init__(self, server: LimitedServer) -> None:
        self._server = server

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        _Connection._numbers += 1
        self._number = _Connection._numbers
        tls = transport.get_extra_info("ssl_object")
        protocol = (tls and tls.selected_alpn_protocol()) or "http/1.1"
        self._speech: _Http2 | _Http11 = (_Http2 if protocol == "h2" else _Http11)(self)
        self._server.protocols[self._number] = protocol
        self._server.open[self._number] = Counter()

    def connection_lost(self, error: Exception | None) -> None:
        del self._server.open[self._number], self._server.protocols[self._number]

    def data_received(self, data: bytes) -> None:
        self._speech.receive(data)

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def answer(self, method: str, target: str) -> tuple[int, str, bytes, bool]:
        """Status, content type, body, and whether the body ends there."""
        path = target.partition("?")[0]
        endless = _ENDLESS.get(path.rpartition("/")[2])
        if endless is not None:
            self._server.open[self._number][_owner(path)] += 1
            return 200, *endless, False
        return *self._server.reply(method, path), True

    def ended(self, target: str) -> None:
        self._server.open[self._number][_owner(target.partition("?")[0])] -= 1


class _Http2:
    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._targets: dict[int, str] = {}
        self._h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        )
        self._h2.initiate_connection()
        limit = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS_PER_CONNECTION}
        self._h2.update_settings(limit)
        connection.write(self._h2.data_to_send())

    def receive(self, data: bytes) -> None:
        for event in self._h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                self._answer(event.stream_id, dict(event.headers))
            elif isinstance(event, h2.events.DataReceived):
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                target = self._targets.pop(event.stream_id, None)
                if target is not None:
                    self._connection.ended(target)
        self._connection.write(self._h2.data_to_send())

    def _answer(self, stream: int, headers: dict[str, str]) -> None:
        status, kind, body, ends = self._connection.answer(headers[":method"], headers[":path"])
        if not ends:
            self._targets[stream] = headers[":path"]
        fields = [(":status", str(status)), ("content-type", kind)]
        self._h2.send_headers(stream, fields, end_stream=ends and not body)
        if body:
            self._h2.send_data(stream, body, end_stream=ends)


class _Http11:
    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._h11 = h11.Connection(h11.SERVER)

    def receive(self, data: bytes) -> None:
        self._h11.receive_data(data)
        while True:
            event = self._h11.next_event()
            if isinstance(event, h11.Request):
                self._request = event
            elif isinstance(event, h11.EndOfMessage):
                self._answer(self._request.method.decode(), self._request.target.decode())
            elif not isinstance(event, h11.Data):
                return

    def _answer(self, method: str, target: str) -> None:
        status, kind, body, ends = self._connection.answer(method, target)
        length = [("content-length", str(len(body)))] if ends and status != 204 else []
        fields = [("content-type", kind), *length]
        self._send(h11.Response(status_code=status, headers=fields))
        if body:
            self._send(h11.Data(data=body))
        if ends:
            self._send(h11.EndOfMessage())
            self._h11.start_next_cycle()

    def _send(self, event: Any) -> None:
        self._connection.write(self._h11.send(event) or b"")
