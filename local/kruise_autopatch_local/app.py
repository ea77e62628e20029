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

from kruise_autopatch.protocol import API_PATH, PREFIX

from .control_plane.api import ControlPlane
from .data_plane.destinations import Destination, by_headers, by_path
from .data_plane.errors import DataPlaneError
from .data_plane.gateway import DataPlane, refusal
from .data_plane.traffic_tokens import TrafficTokens
from .sandbox.sandboxes import Sandboxes


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
            destination = self._destination(target, Headers(scope=scope))
        except DataPlaneError as error:
            if scope["type"] == "websocket":
                await WebSocket(scope, receive, send).close()
            else:
                await refusal(error)(scope, receive, send)
            return
        if destination is not None:
            await self._data.serve(destination, scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocket(scope, receive, send).close()
        else:
            private = path.startswith(API_PATH)
            rest = path[len(API_PATH) :] if private else path
            response = await self._api.serve(rest, Request(scope, receive), private)
            await response(scope, receive, send)

    def _destination(self, target: str, headers: Headers) -> Destination | None:
        if target.startswith(API_PATH):
            return None
        if target.startswith(PREFIX):
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
