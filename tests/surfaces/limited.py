"""A sandbox-manager that allows 100 streams on each HTTP/2 connection, as nginx and ALB do (128).

It knows no more than the first moments of a conversation: a sandbox is created, and killed; a
command and a cell begin, and do not end. It counts which connection each of these streams is on.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, cast

import h2.config
import h2.connection
import h2.events
import h2.settings
import h11

STREAMS_PER_CONNECTION = 100

# What h2 makes of headers when it has been told an encoding.
_Headers = list[tuple[str, str]]


def _connect_message(event: bytes) -> bytes:
    message = b'{"event":%s}' % event
    return struct.pack(">BI", 0, len(message)) + message


# The first bytes of a body that does not end, by the last part of the path.
_ENDLESS = {
    "Start": ("application/connect+json", _connect_message(b'{"start":{"pid":1}}')),
    "execute": ("application/json", b'{"type":"number_of_executions","execution_count":1}\n'),
}

# What envd sends on the stream of a command that is silent (each 50 seconds), and after how many
# seconds without a request it is sent here. Without it, httpcore's asynchronous client may wait for
# good: over HTTP/2, a task whose answer has come stands in line behind one that reads a silent
# stream, natively as well.
_KEEPALIVE = _connect_message(b'{"keepalive":{}}')
_SILENCE = 1

# Who is asked, by the last part of the path; else the API.
_SPEAKERS = {"Start": "commands", "execute": "Jupyter", "files": "files"}


class LimitedServer:
    """On a free port of loopback; serves inside a ``with`` statement, in a thread of its own."""

    def __init__(self, scheme: str, certificates: Mapping[str, str]) -> None:
        self._context: ssl.SSLContext | None = None
        self._variables = {"KRUISE_E2B_HTTPS": "0"}
        if scheme == "https":
            self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._context.load_cert_chain(certificates["chain"], certificates["key"])
            self._context.set_alpn_protocols(["h2", "http/1.1"])
            self._variables = {
                "KRUISE_E2B_HTTPS": "1",
                "SSL_CERT_FILE": certificates["authority"],
            }
        self._created = 0
        self._change = threading.Condition()
        # Of each connection, by its number: how many streams are open for whom, that is for a
        # port of a sandbox, such as "box3/49983".
        self.open: dict[int, Counter[str]] = {}
        self.transports: set[asyncio.Transport] = set()
        self._now = 0
        # The most that were open at once.
        self.most = 0
        self.most_on_one = 0
        self.most_connections = 0
        # Who had a stream where somebody else had one, or where the API was asked.
        self.shared: set[str] = set()
        # Of each of _SPEAKERS and the API, in which versions of HTTP it was asked.
        self.spoken: dict[str, set[str]] = {}

    def environment(self) -> dict[str, str]:
        return {
            "KRUISE_E2B_PATCH": "1",
            "E2B_DOMAIN": f"127.0.0.1:{self.port}",
            "E2B_API_KEY": "e2b_00",
            **self._variables,
        }

    def wait_for(self, streams: int, seconds: float, alive: Callable[[], bool]) -> bool:
        """Whether so many streams are open at once before the time is up, or the client ends."""
        end = time.monotonic() + seconds
        with self._change:
            while self.most < streams and time.monotonic() < end and alive():
                self._change.wait(1)
        return self.most >= streams

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
        server = await self._loop.create_server(
            lambda: _Connection(self), sock=listener, ssl=self._context, backlog=8192
        )
        started.set()
        await self._stopped.wait()
        server.close()
        for transport in list(self.transports):
            transport.abort()
        await asyncio.sleep(0)

    def answer(self, number: int, method: str, target: str) -> tuple[int, str, bytes, bool]:
        """Status, content type and body of an answer, and whether it ends there.

        :param number: of the connection
        """
        path = target.partition("?")[0]
        endless = _ENDLESS.get(path.rpartition("/")[2])
        open_here = self.open[number]
        if endless is not None:
            open_here[_owner(path)] += 1
        with self._change:
            self.shared.update(open_here.keys() - {_owner(path)})
            self._now += endless is not None
            self.most = max(self.most, self._now)
            self.most_connections = max(self.most_connections, len(self.open))
            self.most_on_one = max(self.most_on_one, sum(open_here.values()))
            self._change.notify()
        if endless is not None:
            return 200, *endless, False
        if method == "POST" and path.endswith("/sandboxes"):
            self._created += 1
            sandbox = {
                "sandboxID": f"box{self._created}",
                "templateID": "base",
                "clientID": "",
                "envdVersion": "0.2.10",
            }
            return 201, "application/json", json.dumps(sandbox).encode(), True
        if method == "GET":
            return 200, "application/octet-stream", b"some bytes", True
        return 204, "application/json", b"", True

    def ended(self, number: int, target: str) -> None:
        """A stream has."""
        self._now -= 1
        open_here, owner = self.open[number], _owner(target.partition("?")[0])
        open_here[owner] -= 1
        if not open_here[owner]:
            del open_here[owner]

    def lost(self, number: int) -> None:
        """A connection is."""
        self._now -= sum(self.open.pop(number).values())


def _owner(path: str) -> str:
    """For whom a request is: ``box3/49983``; ``/`` if it is for nobody on the private protocol."""
    parts = path.split("/")
    return "/".join(parts[2:4]) if parts[1] == "kruise" else "/"


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
        h2_chosen = tls is not None and tls.selected_alpn_protocol() == "h2"
        self._speech: _Http2 | _Http11 = (_Http2 if h2_chosen else _Http11)(self)
        self._server.open[self._number] = Counter()
        self._server.transports.add(transport)

    def connection_lost(self, error: Exception | None) -> None:
        # Python before 3.11 calls one unclosed that the other side has closed.
        self._transport.close()
        self._speech.lost()
        self._server.transports.discard(self._transport)
        self._server.lost(self._number)

    def data_received(self, data: bytes) -> None:
        self._speech.receive(data)

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def answer(self, method: str, target: str) -> tuple[int, str, bytes, bool]:
        last = target.partition("?")[0].rpartition("/")[2]
        speaker = _SPEAKERS.get(last, "API")
        self._server.spoken.setdefault(speaker, set()).add(self._speech.version)
        return self._server.answer(self._number, method, target)

    def ended(self, target: str) -> None:
        self._server.ended(self._number, target)


class _Http2:
    version = "2"

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._targets: dict[int, str] = {}
        self._h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        )
        self._h2.initiate_connection()
        limit = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS
        self._h2.update_settings({limit: STREAMS_PER_CONNECTION})
        connection.write(self._h2.data_to_send())
        self._silence = self._soon()

    def _soon(self) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(_SILENCE, self._keep_alive)

    def _keep_alive(self) -> None:
        for stream, target in self._targets.items():
            if target.endswith("/Start"):
                self._h2.send_data(stream, _KEEPALIVE)
        self._connection.write(self._h2.data_to_send())
        self._silence = self._soon()

    def lost(self) -> None:
        self._silence.cancel()

    def receive(self, data: bytes) -> None:
        for event in self._h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                self._answer(event.stream_id, dict(cast(_Headers, event.headers)))
            elif isinstance(event, h2.events.DataReceived):
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                target = self._targets.pop(event.stream_id, None)
                if target is not None:
                    self._connection.ended(target)
        self._connection.write(self._h2.data_to_send())

    def _answer(self, stream: int, headers: dict[str, str]) -> None:
        self._silence.cancel()
        self._silence = self._soon()
        status, kind, body, ends = self._connection.answer(headers[":method"], headers[":path"])
        if not ends:
            self._targets[stream] = headers[":path"]
        fields = [(":status", str(status)), ("content-type", kind)]
        self._h2.send_headers(stream, fields, end_stream=ends and not body)
        if body:
            self._h2.send_data(stream, body, end_stream=ends)


class _Http11:
    version = "1.1"

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._h11 = h11.Connection(h11.SERVER)

    def lost(self) -> None:
        """Nothing is left to do."""

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
