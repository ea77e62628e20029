"""The gateway: finds the sandbox that a request is for, lets it pass or not, and hands it on."""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from kruise_autopatch.protocol.headers import ACCESS_TOKEN, TRAFFIC_TOKEN

from .. import code, envd
from ..sandbox.sandboxes import Sandbox, Sandboxes
from . import proxy, transcripts
from .destinations import Destination
from .errors import DataPlaneError
from .traffic_tokens import TrafficTokens
from .upstream import Address, Kept

UUID, JWT = "uuid", "jwt"
# Whose token a request has to bring: envd's, on every port; or that of a protected sandbox.
MODES = (UUID, JWT)

NOT_FOUND = "API Error: healthy sandbox {} not found"
UNAUTHORIZED = "Unauthorized: invalid or missing access token"


class Gateway:
    """Hands requests to the sandbox and the port that they are for."""

    def __init__(self, sandboxes: Sandboxes, tokens: TrafficTokens, mode: str) -> None:
        self._sandboxes = sandboxes
        self._tokens = tokens
        self._mode = mode
        self._kept = Kept()

    async def serve(self, there: Destination, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            sandbox = self._find(there)
            self._check(sandbox, Headers(scope=scope))
            # The gateway takes the token off before it hands a request on.
            headers = [header for header in scope["headers"] if header[0] != TRAFFIC_TOKEN.encode()]
            scope = {**scope, "headers": headers}
            if scope["type"] == "websocket":
                if there.port in (envd.PORT, code.PORT):
                    raise DataPlaneError(404, "404 page not found\n")
                socket = WebSocket(scope, receive, send)
                await proxy.forward_websocket(there.port, there.target.encode("latin-1"), socket)
                return
            response = await self._answer(sandbox, there, Request(scope, receive))
        except DataPlaneError as error:
            await refuse(error, scope, receive, send)
            return
        await response(scope, receive, send)

    def _find(self, there: Destination) -> Sandbox:
        sandbox = self._sandboxes.get(there.sandbox_id)
        if sandbox is None or sandbox.state != "running":
            raise DataPlaneError(502, NOT_FOUND.format(there.sandbox_id))
        return sandbox

    def _check(self, sandbox: Sandbox, headers: Headers) -> None:
        if self._mode == JWT:
            self._tokens.check(sandbox, headers)
            return
        presented = headers.get(ACCESS_TOKEN, "")
        if not hmac.compare_digest(presented.encode("latin-1"), sandbox.access_token.encode()):
            raise DataPlaneError(401, UNAUTHORIZED)

    async def _answer(self, sandbox: Sandbox, there: Destination, request: Request) -> Response:
        target = there.target.encode("latin-1")
        if there.port in (envd.PORT, code.PORT) and sandbox.pod is not None:
            path, kind = there.target.partition("?")[0], request.headers.get("content-type", "")
            tap = transcripts.tap(there.port, path, kind, sandbox.transcript)
            inside = Address(
                sandbox.pod.envd_socket if there.port == envd.PORT else sandbox.pod.code_socket
            )
            return await proxy.forward(self._kept, inside, target, request, {}, tap)
        extra = proxy.envoys_headers(request, there.port)
        where = proxy.address(there.port)
        return await proxy.forward(self._kept, where, target, request, extra)


async def refuse(error: DataPlaneError, scope: Scope, receive: Receive, send: Send) -> None:
    """Send a refusal, to a request or to somebody who wants a websocket."""
    # Starlette would add a charset, which the real ones do not have.
    headers = {"Content-Type": "text/plain", "Server": "envoy"}
    response = Response(error.message, error.status, headers)
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(response)
    else:
        await response(scope, receive, send)
