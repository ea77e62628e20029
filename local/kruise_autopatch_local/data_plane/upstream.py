"""One HTTP/1.1 request to a sandbox's socket or port, and its reply.

A proxy hands on what comes, and no more is asked of it: no redirects, no cookies, no proxies, no
time limit. Either side waits for the other: of a reply that nobody reads, one piece is held here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from functools import partial
from typing import NamedTuple

import h11

# Of a reply's head.
_LONGEST_HEAD = 100 * 1024
# Connecting costs as much as all the rest of a request. But a program that serves one connection
# at a time serves nobody else for as long as one is kept.
_KEPT_FOR = 1.0


class UpstreamError(Exception):
    """There is no connection, or what came over it is not the reply that it should be."""


class Address(NamedTuple):
    """A Unix socket's path, or a port of a host."""

    path: str | None = None
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"


class Answer(NamedTuple):
    """A whole reply, to a question of our own."""

    status: int
    body: bytes


class Exchange(asyncio.Protocol):
    """A connection, for a request and its reply, and perhaps for the next ones."""

    _transport: asyncio.Transport

    def __init__(self, address: Address) -> None:
        self.address = address
        # Whether anything has come since the request began.
        self.heard = False
        self._at_rest = False
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)
        self._ended = False
        # Whoever waits for more to come, or until more may be sent.
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._full = False

    @classmethod
    async def begin(cls, address: Address) -> Exchange:
        """Connect. Raises `UpstreamError`."""
        loop = asyncio.get_running_loop()
        try:
            if address.path is not None:
                _, exchange = await loop.create_unix_connection(partial(cls, address), address.path)
            else:
                _, exchange = await loop.create_connection(
                    partial(cls, address), address.host, address.port
                )
        except OSError as error:
            raise UpstreamError(str(error)) from error
        return exchange

    async def send(
        self,
        method: str,
        target: bytes,
        headers: list[tuple[bytes, bytes]],
        body: AsyncGenerator[bytes, None] | None,
    ) -> h11.Response:
        """Send the request, and wait for the head of the reply; closed, if that fails.

        Raises `UpstreamError`.
        """
        try:
            await self._write(h11.Request(method=method, target=target, headers=headers), body)
            return await self._head()
        except BaseException as error:
            self.close()
            if isinstance(error, h11.LocalProtocolError):
                raise UpstreamError(str(error)) from error
            raise

    async def _write(self, request: h11.Request, body: AsyncGenerator[bytes, None] | None) -> None:
        self._transport.write(self._http.send(request) or b"")
        if body is not None:
            async for data in body:
                if self._transport.is_closing():
                    break  # It may have answered all the same.
                self._transport.write(self._http.send(h11.Data(data)) or b"")
                await self._room()
        if not self._transport.is_closing():
            self._transport.write(self._http.send(h11.EndOfMessage()) or b"")

    async def _head(self) -> h11.Response:
        while True:
            event = await self._event()
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                raise UpstreamError("the connection ended before a reply")

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body of the reply as it comes. Raises `UpstreamError` if it ends too early."""
        while isinstance(event := await self._event(), h11.Data):
            yield bytes(event.data)

    def rest(self) -> bool:
        """Be there for another request, if this one and its reply are whole, and nothing follows.

        From then on the connection ends by itself as soon as anything comes.
        """
        done = self._http.our_state is self._http.their_state is h11.DONE
        if not done or self._http.trailing_data[0] or self._ended or self._transport.is_closing():
            return False
        self._http.start_next_cycle()
        self._at_rest, self.heard = True, False
        self._transport.resume_reading()
        return True

    def rise(self) -> bool:
        """After `rest`: whether the connection is still there."""
        self._at_rest = False
        return not self._transport.is_closing()

    def close(self) -> None:
        self._transport.abort()

    async def _event(self) -> object:
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                raise UpstreamError(str(error)) from error
            if event is not h11.NEED_DATA:
                return event
            if not self._ended:
                self._transport.resume_reading()
                self._reader = asyncio.get_running_loop().create_future()
                await self._reader

    async def _room(self) -> None:
        if self._full:
            self._writer = asyncio.get_running_loop().create_future()
            await self._writer

    # --- what the event loop calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._at_rest:
            self.close()
            return
        self.heard = True
        self._http.receive_data(data)
        if not _wake(self._reader):
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        self._end()
        return True  # What is being sent may still be sent.

    def connection_lost(self, error: Exception | None) -> None:
        self._end()
        self.resume_writing()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        _wake(self._writer)

    def _end(self) -> None:
        if self._at_rest:
            self.close()
        elif not self._ended:
            self._ended = True
            self._http.receive_data(b"")
            _wake(self._reader)


class Kept:
    """Connections whose reply is over, for a moment, for whoever asks the same address again."""

    def __init__(self) -> None:
        self._by_address: dict[Address, list[tuple[Exchange, asyncio.TimerHandle]]] = {}

    def take(self, address: Address) -> Exchange | None:
        """One that is still there; only use will tell whether the other side thinks so too."""
        kept = self._by_address.pop(address, [])
        while kept:
            exchange, timer = kept.pop()
            timer.cancel()
            if exchange.rise():
                if kept:
                    self._by_address[address] = kept
                return exchange
        return None

    def give_back(self, exchange: Exchange) -> None:
        """Keep a connection, or else close it."""
        if not exchange.rest():
            exchange.close()
            return
        timer = asyncio.get_running_loop().call_later(_KEPT_FOR, self._let_go, exchange)
        self._by_address.setdefault(exchange.address, []).append((exchange, timer))

    def _let_go(self, exchange: Exchange) -> None:
        exchange.close()
        kept = self._by_address.pop(exchange.address)
        if others := [each for each in kept if each[0] is not exchange]:
            self._by_address[exchange.address] = others


async def ask(
    address: Address,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes = b"",
) -> Answer:
    """Ask a question of our own. Raises `UpstreamError`."""
    host = "sandbox" if address.path else str(address)
    all_of_them = {"Host": host, "Content-Length": str(len(body)), **headers}
    raw = [(name.encode(), value.encode()) for name, value in all_of_them.items()]
    exchange = await Exchange.begin(address)
    try:
        reply = await exchange.send(method, target.encode(), raw, _once(body))
        return Answer(reply.status_code, b"".join([data async for data in exchange.chunks()]))
    finally:
        exchange.close()


async def _once(data: bytes) -> AsyncGenerator[bytes, None]:
    yield data


def _wake(sleeper: asyncio.Future[None] | None) -> bool:
    if sleeper is None or sleeper.done():
        return False
    sleeper.set_result(None)
    return True
