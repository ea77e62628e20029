"""What runs in a sandbox with a desktop: noVNC's pages, and RFB 3.8 (RFC 6143) on a websocket.

The screen is of one colour. It answers like websockify with ``--web``, for one port.
"""

from __future__ import annotations

import contextlib
import mimetypes
import struct
import threading
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

WIDTH, HEIGHT = 64, 48
COLOUR = (200, 30, 60)

WEBSOCKET = "/websockify"

_NONE, _VNC_AUTHENTICATION = 1, 2


class Password(NamedTuple):
    """A password, and what answers a challenge of zeros (RFC 6143, section 7.2.2: DES)."""

    text: str
    response: bytes


PASSWORD = Password("secret12", bytes.fromhex("40377308e205e622" * 2))


class Visit:
    """What one client did on its websocket."""

    def __init__(self) -> None:
        self.authenticated = False
        self.updates = 0
        self.clicks = 0
        self.ended = threading.Event()


class Desktop:
    """What the server knows: the password it asks for, and its visits."""

    def __init__(self, pages: Path) -> None:
        self._pages = pages
        self.port = 0
        self.password: Password | None = None
        self.visits: list[Visit] = []

    def page(self, connection: ServerConnection, request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        if path == WEBSOCKET:
            return None
        file = self._pages / path.lstrip("/")
        if not file.is_file():
            return connection.respond(HTTPStatus.NOT_FOUND, path)
        body = file.read_bytes()
        headers = Headers()
        headers["Content-Type"] = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        headers["Content-Length"] = str(len(body))
        headers["Connection"] = "close"
        return Response(HTTPStatus.OK.value, HTTPStatus.OK.phrase, headers, body)

    def converse(self, connection: ServerConnection) -> None:
        visit = Visit()
        self.visits.append(visit)
        try:
            stream = _Stream(connection)
            if self._shake_hands(stream, visit):
                _draw(stream, visit)
        except ConnectionClosed:
            pass
        finally:
            visit.ended.set()

    def _shake_hands(self, stream: _Stream, visit: Visit) -> bool:
        stream.write(b"RFB 003.008\n")
        assert stream.read(12) == b"RFB 003.008\n"
        offered = _NONE if self.password is None else _VNC_AUTHENTICATION
        stream.write(bytes([1, offered]))
        assert stream.read(1) == bytes([offered])
        accepted = True
        if self.password is not None:
            stream.write(bytes(16))
            accepted = stream.read(16) == self.password.response
            visit.authenticated = accepted
        stream.write(struct.pack(">I", 0 if accepted else 1))
        return accepted


@contextlib.contextmanager
def serving(pages: Path) -> Iterator[Desktop]:
    """A desktop on a free port."""
    desktop = Desktop(pages)
    # As in a pod, what is bound to 127.0.0.1 alone is not reached.
    with serve(
        desktop.converse, "0.0.0.0", 0, process_request=desktop.page, compression=None
    ) as server:
        desktop.port = server.socket.getsockname()[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield desktop
        finally:
            server.shutdown()
            thread.join()


def _draw(stream: _Stream, visit: Visit) -> None:
    stream.read(1)  # shared
    name = b"desktop"
    little_endian_rgb = struct.pack(">BBBBHHHBBB3x", 32, 24, 0, 1, 255, 255, 255, 0, 8, 16)
    stream.write(struct.pack(">HH", WIDTH, HEIGHT) + little_endian_rgb)
    stream.write(struct.pack(">I", len(name)) + name)
    shifts = (0, 8, 16)
    while True:
        (kind,) = stream.read(1)
        if kind == 0:  # SetPixelFormat
            shifts = struct.unpack(">3x10x3B3x", stream.read(19))
        elif kind == 2:  # SetEncodings
            (count,) = struct.unpack(">xH", stream.read(3))
            stream.read(4 * count)
        elif kind == 3:  # FramebufferUpdateRequest
            (incremental,) = struct.unpack(">B8x", stream.read(9))
            if not incremental:
                stream.write(_update(shifts))
                visit.updates += 1
        elif kind == 4:  # KeyEvent
            stream.read(7)
        elif kind == 5:  # PointerEvent
            (buttons,) = struct.unpack(">B4x", stream.read(5))
            visit.clicks += buttons == 1
        elif kind == 6:  # ClientCutText
            (length,) = struct.unpack(">3xi", stream.read(7))
            stream.read(abs(length))
        else:
            raise AssertionError(f"a client message of type {kind}, which was not offered")


def _update(shifts: tuple[int, ...]) -> bytes:
    """FramebufferUpdate with one raw rectangle."""
    pixel = sum(value << shift for value, shift in zip(COLOUR, shifts))
    header = struct.pack(">BxHHHHHi", 0, 1, 0, 0, WIDTH, HEIGHT, 0)
    return header + struct.pack("<I", pixel) * (WIDTH * HEIGHT)


class _Stream:
    """The bytes of a websocket's messages."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        self._unread = b""

    def read(self, length: int) -> bytes:
        while len(self._unread) < length:
            message: Any = self._connection.recv()
            assert isinstance(message, bytes), "noVNC sends binary messages"
            self._unread += message
        wanted, self._unread = self._unread[:length], self._unread[length:]
        return wanted

    def write(self, content: bytes) -> None:
        self._connection.send(content)
