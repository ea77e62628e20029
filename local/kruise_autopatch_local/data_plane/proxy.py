"""A streaming reverse proxy: to a sandbox's own sockets, and to the ports of this machine.

As sandboxes share the host's network, a port belongs to whoever listens on it, in this
sandbox or in another one or outside of all. Nothing in a response is rewritten, neither is
it by the real gateway: `Location: /x` and absolute asset paths leave the prefix.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import time
import uuid
from collections.abc import AsyncGenerator, Mapping
from functools import partial

import h11
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
)
from websockets.typing import Subprotocol

from ..streaming import Broken, CancellingStream
from .errors import DataPlaneError
from .transcripts import Tap
from .upstream import Address, Exchange, Kept, UpstreamError

# Headers of one connection (RFC 9110, section 7.6.1), which a proxy must not hand on.
_CONNECTION = {
    b"connection",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
}
# Of a reply: there is another server; and with the other a page of a sandbox could have a service
# worker see all that the browser asks of this address, for other sandboxes and for our own page.
_KEPT_BACK = {b"server", b"service-worker-allowed"}
_NOT_HANDED_ON = _CONNECTION | _KEPT_BACK
_SAFE = {"GET", "HEAD", "OPTIONS"}
_HANDSHAKE = {
    b"host",
    b"sec-websocket-key",
    b"sec-websocket-version",
    b"sec-websocket-extensions",
    b"sec-websocket-protocol",
}


# What Envoy says of a port that nobody listens on.
_NOBODY = (
    "upstream connect error or disconnect/reset before headers. "
    "reset reason: remote connection failure"
)
_ENVOYS_LIMIT = "400000"


def address(port: int) -> Address:
    """Where a sandbox's port is, for whoever comes from outside.

    Not 127.0.0.1: a server that is bound to that address alone is not reached in a pod either.
    To Linux every address that begins with 127 is this machine's.
    """
    return Address(host="127.0.0.2" if sys.platform == "linux" else "127.0.0.1", port=port)


def envoys_headers(request: Request, port: int) -> dict[str, str]:
    """What Envoy adds to a request."""
    added = {
        "x-forwarded-proto": request.scope["scheme"],
        # Nobody's secret, so no system call for it.
        "x-request-id": str(uuid.UUID(int=random.getrandbits(128), version=4)),
        "x-envoy-original-dst-host": str(address(port)),
        "x-envoy-expected-rq-timeout-ms": _ENVOYS_LIMIT,
    }
    if request.method == "OPTIONS" and not _has_body(request):
        added["content-length"] = "0"
    return added


def _has_body(request: Request) -> bool:
    return "content-length" in request.headers or "transfer-encoding" in request.headers


async def forward(
    kept: Kept,
    address: Address,
    target: bytes,
    request: Request,
    added: Mapping[str, str],
    tap: Tap | None = None,
) -> Response:
    """Send a request on, with the path and query exactly as they came."""
    headers = [header for header in request.headers.raw if header[0] not in _CONNECTION]
    headers += [(name.encode(), value.encode()) for name, value in added.items()]
    if "transfer-encoding" in request.headers:
        headers.append((b"transfer-encoding", b"chunked"))
    body = _body(request, tap) if _has_body(request) else None
    began = time.monotonic()
    try:
        exchange, reply = await _ask(kept, address, request.method, target, headers, body)
    except ClientDisconnect:
        return Response(status_code=400)  # Nobody is left to read it.
    except UpstreamError:
        raise DataPlaneError(503, _NOBODY) from None
    done = partial(kept.give_back, exchange)
    response = CancellingStream(_chunks(exchange, tap), reply.status_code, done=done)
    milliseconds = int((time.monotonic() - began) * 1000)
    response.raw_headers = [
        *(header for header in reply.headers if header[0] not in _NOT_HANDED_ON),
        (b"x-envoy-upstream-service-time", str(milliseconds).encode()),
        (b"server", b"envoy"),
    ]
    return response


async def _body(request: Request, tap: Tap | None) -> AsyncGenerator[bytes, None]:
    async for chunk in request.stream():
        if tap is not None:
            tap.sent(chunk)
        yield chunk


async def _ask(
    kept: Kept,
    address: Address,
    method: str,
    target: bytes,
    headers: list[tuple[bytes, bytes]],
    body: AsyncGenerator[bytes, None] | None,
) -> tuple[Exchange, h11.Response]:
    """Send a request: the head of its reply, and what the rest is to be read from.

    On a connection that was kept, if what may have to be sent again on another one changes nothing.
    Raises `UpstreamError`.
    """
    exchange = kept.take(address) if method in _SAFE and body is None else None
    if exchange is not None:
        try:
            return exchange, await exchange.send(method, target, headers, body)
        except UpstreamError:
            if exchange.heard:
                raise
            # Its other side had ended it.
    exchange = await Exchange.begin(address)
    return exchange, await exchange.send(method, target, headers, body)


async def _chunks(exchange: Exchange, tap: Tap | None) -> AsyncGenerator[bytes, None]:
    try:
        async for chunk in exchange.chunks():
            if tap is not None:
                tap.received(chunk)
            yield chunk
    except UpstreamError:
        # It ended amid its reply, as a sandbox does that is killed: so does ours.
        raise Broken from None


async def forward_websocket(port: int, target: bytes, socket: WebSocket) -> None:
    """Connect a websocket to a port and carry messages both ways until either side ends."""
    headers = [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in socket.headers.raw
        if name not in _CONNECTION | _HANDSHAKE
    ]
    asked = [Subprotocol(name) for name in socket.scope.get("subprotocols", [])]
    try:
        upstream = await connect(
            f"ws://{address(port)}{target.decode('latin-1')}",
            additional_headers=headers,
            subprotocols=asked or None,
            user_agent_header=None,
            max_size=None,
            open_timeout=None,
            proxy=None,
        )
    except InvalidStatus as error:
        raise DataPlaneError(error.response.status_code, _text(error.response.body)) from None
    except (OSError, InvalidHandshake, InvalidMessage):
        raise DataPlaneError(503, _NOBODY) from None
    async with upstream:
        await socket.accept(upstream.subprotocol)
        ways = {
            asyncio.ensure_future(_to_upstream(socket, upstream)),
            asyncio.ensure_future(_to_client(socket, upstream)),
        }
        _, unfinished = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in unfinished:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _to_upstream(socket: WebSocket, upstream: ClientConnection) -> None:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            await upstream.close(*_sendable(message.get("code"), message.get("reason")))
            return
        text = message.get("text")
        await upstream.send(message["bytes"] if text is None else text)


async def _to_client(socket: WebSocket, upstream: ClientConnection) -> None:
    try:
        async for message in upstream:
            if isinstance(message, str):
                await socket.send_text(message)
            else:
                await socket.send_bytes(message)
    except ConnectionClosed:
        pass
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await socket.close(*_sendable(upstream.close_code, upstream.close_reason))


def _text(body: bytes | bytearray | None) -> str:
    return (body or b"").decode("utf-8", "replace")


def _sendable(code: object, reason: object) -> tuple[int, str]:
    """1005 and 1006 only say that there was no code; they may not be sent (RFC 6455, 7.4.1)."""
    usable = isinstance(code, int) and code not in (1004, 1005, 1006, 1015)
    return (code if usable else 1000, str(reason or ""))  # type: ignore[return-value]
