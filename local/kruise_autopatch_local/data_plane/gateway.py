"""The gateway: finds the sandbox that a request is for, lets it pass or not, and hands it on."""

from __future__ import annotations

from urllib.parse import unquote

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from kruise_autopatch.protocol.headers import TRAFFIC_TOKEN

from .. import code, envd
from ..code import http_api as code_api
from ..envd import service as envd_service
from ..sandbox.sandboxes import Sandbox, Sandboxes
from . import proxy
from .destinations import Destination
from .errors import DataPlaneError
from .traffic_tokens import TrafficTokens


class DataPlane:
    """Hands requests to the sandbox and the port that they are for."""

    def __init__(self, sandboxes: Sandboxes, tokens: TrafficTokens) -> None:
        self._sandboxes = sandboxes
        self._tokens = tokens
        self._upstream = proxy.client()

    async def close(self) -> None:
        await self._upstream.aclose()

    async def serve(self, there: Destination, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            sandbox = self._find(there)
            self._tokens.check(sandbox, Headers(scope=scope))
            # The gateway takes the token off before it hands a request on.
            headers = [header for header in scope["headers"] if header[0] != TRAFFIC_TOKEN.encode()]
            scope = {**scope, "headers": headers}
            if scope["type"] == "websocket":
                await self._serve_websocket(there, WebSocket(scope, receive, send))
                return
            response = await self._answer(sandbox, there, Request(scope, receive))
        except DataPlaneError as error:
            if scope["type"] == "websocket":
                await WebSocket(scope, receive, send).close()
                return
            response = refusal(error)
        await response(scope, receive, send)

    def _find(self, there: Destination) -> Sandbox:
        sandbox = self._sandboxes.get(there.sandbox_id)
        if sandbox is None or sandbox.state != "running":
            raise DataPlaneError(502, f"API Error: healthy sandbox {there.sandbox_id} not found")
        return sandbox

    async def _answer(self, sandbox: Sandbox, there: Destination, request: Request) -> Response:
        path = unquote(there.target.partition("?")[0])
        if there.port == envd.PORT:
            return await envd_service.serve(sandbox, path, request)
        if there.port == code.PORT:
            return await code_api.serve(sandbox, path, request)
        return await proxy.forward(
            self._upstream, there.port, there.target.encode("latin-1"), request
        )

    async def _serve_websocket(self, there: Destination, socket: WebSocket) -> None:
        if there.port in (envd.PORT, code.PORT):
            await socket.close()
            return
        await proxy.forward_websocket(there.port, there.target.encode("latin-1"), socket)


def refusal(error: DataPlaneError) -> Response:
    return PlainTextResponse(error.message, status_code=error.status)
