"""`/kruise/<sandbox>/<port>/…`: finding the sandbox and the port that a path means.

The rules are those of openkruise/agents' custom E2B adapter: the rest of the path, the query
and every escape are handed on verbatim; the sandbox id is not decoded; and a query straight
after the port, without a slash between, does not parse.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from . import envd, jupyter, proxy
from .errors import DataPlaneError
from .sandboxes import Sandbox, Sandboxes
from .traffic_tokens import HEADER, TrafficTokens

PREFIX = "/kruise/"


class Route(NamedTuple):
    """A sandbox, a port, and the request target to send there."""

    sandbox_id: str
    port: int
    target: str


def by_path(target: str) -> Route:
    """The route that a raw request target (path and query) below `/kruise/` means."""
    rest = target[len(PREFIX) :]
    sandbox_id, slash, rest = rest.partition("/")
    if not slash or not sandbox_id:
        raise DataPlaneError(500, f"API Error: invalid path format: {target}")
    port, slash, rest = rest.partition("/")
    try:
        # Go's Atoi is given all that precedes the next slash, including a query.
        number = int(port) if port.isascii() and port.isdigit() else None
    except ValueError:
        number = None
    if number is None:
        status = 500 if "?" in port or not port else 400
        raise DataPlaneError(status, f"API Error: invalid port number: {port}")
    if not 0 < number < 65536:
        raise DataPlaneError(400, f"API Error: invalid port number: {port}")
    return Route(sandbox_id, number, "/" + rest)


def by_headers(target: str, headers: Headers) -> Route | None:
    """The route that the SDKs' own headers mean, which the server honours outside `/kruise`."""
    sandbox_id, port = headers.get("e2b-sandbox-id"), headers.get("e2b-sandbox-port")
    if not sandbox_id or not port:
        return None
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise DataPlaneError(400, f"API Error: invalid port number: {port}")
    return Route(sandbox_id, int(port), target)


class DataPlane:
    """Hands requests to the sandbox and the port that they are for."""

    def __init__(self, sandboxes: Sandboxes, tokens: TrafficTokens) -> None:
        self._sandboxes = sandboxes
        self._tokens = tokens
        self._upstream = proxy.client()

    async def close(self) -> None:
        await self._upstream.aclose()

    async def serve(self, route: Route, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            sandbox = self._find(route)
            self._tokens.check(sandbox, Headers(scope=scope))
            # The gateway takes the token off before it hands a request on.
            headers = [header for header in scope["headers"] if header[0] != HEADER.encode()]
            scope = {**scope, "headers": headers}
            if scope["type"] == "websocket":
                await self._serve_websocket(route, WebSocket(scope, receive, send))
                return
            response = await self._answer(sandbox, route, Request(scope, receive))
        except DataPlaneError as error:
            if scope["type"] == "websocket":
                await WebSocket(scope, receive, send).close()
                return
            response = refusal(error)
        await response(scope, receive, send)

    def _find(self, route: Route) -> Sandbox:
        sandbox = self._sandboxes.get(route.sandbox_id)
        if sandbox is None or sandbox.state != "running":
            raise DataPlaneError(502, f"API Error: healthy sandbox {route.sandbox_id} not found")
        return sandbox

    async def _answer(self, sandbox: Sandbox, route: Route, request: Request) -> Response:
        path = unquote(route.target.partition("?")[0])
        if route.port == envd.PORT:
            return await envd.serve(sandbox, path, request)
        if route.port == jupyter.PORT:
            return await jupyter.serve(sandbox, path, request)
        return await proxy.forward(
            self._upstream, route.port, route.target.encode("latin-1"), request
        )

    async def _serve_websocket(self, route: Route, socket: WebSocket) -> None:
        if route.port in (envd.PORT, jupyter.PORT):
            await socket.close()
            return
        await proxy.forward_websocket(route.port, route.target.encode("latin-1"), socket)


def refusal(error: DataPlaneError) -> Response:
    return PlainTextResponse(error.message, status_code=error.status)


__all__ = ["DataPlane", "Route", "by_headers", "by_path", "refusal"]
