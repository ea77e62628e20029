"""The server's side of a connection: what is written in one turn of the event loop is sent at once.

A reply is written in pieces, its head and one or more of its body, and to send each by itself
would cost as much as all else that is done for a short one.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# So much does not wait for the end of the turn: a body that is there as a whole would else be
# written past the transport's flow control.
_ENOUGH = 64 * 1024
# Of a request's head, before all of it is there. The parser knows no limit.
_LONGEST_HEAD = 64 * 1024


class Connection(HttpToolsProtocol):
    """uvicorn's, with a transport that gathers, and an end to what a head may hold."""

    # What has come of a head that is not whole yet.
    _head: int | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast(asyncio.Transport, Gathering(transport)))

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head is not None:
            self._head += len(data)
            if self._head > _LONGEST_HEAD:
                self.send_400_response("Invalid HTTP request received.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = 0

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._head = None

    def handle_websocket_upgrade(self) -> None:
        # A websocket's messages are whole, and its protocol asks more of a transport.
        self.transport = cast(Gathering, self.transport).emptied()
        super().handle_websocket_upgrade()


class Gathering:
    """A transport as uvicorn's protocols use it; what is not here is the real one's."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._pieces: list[bytes] = []
        self._size = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._pieces:
            self._loop.call_soon(self._send)
        self._pieces.append(data)
        self._size += len(data)
        if self._size > _ENOUGH:
            self._send()

    def close(self) -> None:
        self.emptied().close()

    def emptied(self) -> asyncio.Transport:
        """The real transport, once it has been given what is gathered here."""
        self._send()
        return self._transport

    def _send(self) -> None:
        pieces, self._pieces, self._size = self._pieces, [], 0
        if pieces:
            self._transport.write(b"".join(pieces))
