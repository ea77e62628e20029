"""The ASGI application: which half of the server a request is for.

A path that starts with `/kruise/api` always means the API, even `/kruise/apix…`: the server
compares prefixes, so a sandbox whose id began with `api` could not be reached by path
(openkruise/agents, pkg/servers/e2b/adapters/customized_e2b.go). Any other path below
`/kruise` means a sandbox. All else is the API under its native paths, unless the request
carries the headers that name a sandbox and a port.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from . import control_plane
from .control_plane import ControlPlane
from .data_plane import DataPlane, Route, by_headers, by_path, refusal
from .errors import DataPlaneError
from .sandboxes import Sandboxes
from .traffic_tokens import TrafficTokens


class App:
    """The local sandbox-manager."""

    def __init__(
        self,
        sandboxes: Sandboxes,
        tokens: TrafficTokens,
        api_key: str,
        e2b_domain: str | None,
    ) -> None:
        self._api = ControlPlane(sandboxes, tokens, api_key, e2b_domain)
        self._data = DataPlane(sandboxes, tokens)
        self._sandboxes = sandboxes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        path = scope["raw_path"].decode("latin-1")
        query = scope["query_string"].decode("latin-1")
        target = f"{path}?{query}" if query else path
        try:
            route = self._sandbox_route(target, Headers(scope=scope))
        except DataPlaneError as error:
            if scope["type"] == "websocket":
                await WebSocket(scope, receive, send).close()
            else:
                await refusal(error)(scope, receive, send)
            return
        if route is not None:
            await self._data.serve(route, scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocket(scope, receive, send).close()
        else:
            private = path.startswith(control_plane.PREFIX)
            rest = path[len(control_plane.PREFIX) :] if private else path
            response = await self._api.serve(rest, Request(scope, receive), private)
            await response(scope, receive, send)

    def _sandbox_route(self, target: str, headers: Headers) -> Route | None:
        if target.startswith(control_plane.PREFIX):
            return None
        if target.startswith("/kruise"):
            return by_path(target)
        return by_headers(target, headers)

    async def _live(self, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        self._sandboxes.start()
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        await self._sandboxes.close()
        await self._data.close()
        await send({"type": "lifespan.shutdown.complete"})
