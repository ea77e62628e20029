"""Any other port: a streaming reverse proxy to 127.0.0.1:<port>, HTTP and websockets.

As sandboxes share the host's network, a port belongs to whoever listens on it, in this
sandbox or in another one or outside of all. Nothing in a response is rewritten, neither is
it by the real gateway: `Location: /x` and absolute asset paths leave the prefix.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import httpx
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from ..streaming import CancellingStream
from .errors import DataPlaneError

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
_HANDSHAKE = {
    b"host",
    b"sec-websocket-key",
    b"sec-websocket-version",
    b"sec-websocket-extensions",
    b"sec-websocket-protocol",
}


def client() -> httpx.AsyncClient:
    """The client for all upstream requests: no proxies, no redirects, no time limit."""
    transport = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_keepalive_connections=0))
    return httpx.AsyncClient(transport=transport, timeout=None, trust_env=False)


async def forward(
    upstream: httpx.AsyncClient, port: int, target: bytes, request: Request
) -> Response:
    """Send a request to a port, with the path and query exactly as they came."""
    headers = [(name, value) for name, value in request.headers.raw if name not in _CONNECTION]
    has_body = "content-length" in request.headers or "transfer-encoding" in request.headers
    outgoing = httpx.Request(
        request.method,
        f"http://127.0.0.1:{port}/",
        headers=headers,
        content=request.stream() if has_body else None,
        # httpx would normalise the path; httpcore sends this as it is.
        extensions={"target": target},
    )
    try:
        incoming = await upstream.send(outgoing, stream=True)
    except ClientDisconnect:
        return Response(status_code=400)  # Nobody is left to read it.
    except httpx.ConnectError:
        raise DataPlaneError(502, f"nothing listens on port {port}\n") from None
    except httpx.HTTPError as error:
        raise DataPlaneError(502, f"port {port} does not answer: {error!r}\n") from None

    async def chunks() -> AsyncGenerator[bytes, None]:
        try:
            async for chunk in incoming.aiter_raw():
                yield chunk
        finally:
            await incoming.aclose()

    response = CancellingStream(chunks(), incoming.status_code)
    response.raw_headers = [
        (name.lower(), value)
        for name, value in incoming.headers.raw
        if name.lower() not in _CONNECTION
    ]
    return response


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
            f"ws://127.0.0.1:{port}{target.decode('latin-1')}",
            additional_headers=headers,
            subprotocols=asked or None,
            user_agent_header=None,
            max_size=None,
            open_timeout=None,
            proxy=None,
        )
    except (OSError, InvalidHandshake):
        # Closing before accepting refuses the handshake with 403.
        await socket.close()
        return
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


def _sendable(code: object, reason: object) -> tuple[int, str]:
    """1005 and 1006 only say that there was no code; they may not be sent (RFC 6455, 7.4.1)."""
    usable = isinstance(code, int) and code not in (1004, 1005, 1006, 1015)
    return (code if usable else 1000, str(reason or ""))  # type: ignore[return-value]
