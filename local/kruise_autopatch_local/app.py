"""The ASGI application: who may ask, and which half of the server a request is for.

A path that starts with `/kruise/api` always means the API, even `/kruise/apix…`: the server
compares prefixes, so a sandbox whose id began with `api` could not be reached by path
(openkruise/agents, pkg/servers/e2b/adapters/customized_e2b.go). Any other path below `/kruise`
means a sandbox. All else is the API under its native paths if the host is `api.…`, or a sandbox
that the SDKs' headers or the host name.
"""

from __future__ import annotations

from functools import partial

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from kruise_autopatch.protocol import API_PATH, PREFIX

from .control_plane.api import ControlPlane
from .data_plane import destinations
from .data_plane.errors import DataPlaneError
from .data_plane.gateway import Gateway, refuse
from .doorkeeper import Doorkeeper
from .own.faults import Asked, Faults
from .own.paths import is_native_api
from .sandbox.sandboxes import Sandboxes


class App:
    """The local sandbox-manager."""

    def __init__(
        self,
        sandboxes: Sandboxes,
        api: ControlPlane,
        gateway: Gateway,
        doorkeeper: Doorkeeper,
        faults: Faults,
    ) -> None:
        self._sandboxes = sandboxes
        self._api = api
        self._gateway = gateway
        self._doorkeeper = doorkeeper
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        headers = Headers(scope=scope)
        try:
            self._doorkeeper.check(headers)
            await self._hand_on(headers, scope, receive, send)
        except DataPlaneError as error:
            await refuse(error, scope, receive, send)

    async def _hand_on(self, headers: Headers, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["raw_path"].decode("latin-1")
        query = scope["query_string"].decode("latin-1")
        private = path.startswith(API_PATH)
        below = path.startswith(PREFIX)
        # There the API is meant even if the headers name a sandbox, as those of old SDKs do.
        if private or (is_native_api(headers) and not below):
            rest = path[len(API_PATH) :] if private else path
            answer: ASGIApp = partial(self._answer_api, rest, private)
            await self._faults.serve(Asked(path, headers, None), answer, scope, receive, send)
            return
        scheme = "https" if scope["scheme"] in ("https", "wss") else "http"
        there = destinations.find(scheme, f"{path}?{query}" if query else path, headers)
        answer = partial(self._gateway.serve, there)
        asked = Asked(path, headers, there.sandbox_id)
        await self._faults.serve(asked, answer, scope, receive, send)

    async def _answer_api(
        self, path: str, private: bool, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if scope["type"] == "websocket":
            raise DataPlaneError(404, "404 page not found\n")
        response = await self._api.serve(path, Request(scope, receive), private)
        await response(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        self._sandboxes.start()
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        await self._sandboxes.close()
        await send({"type": "lifespan.shutdown.complete"})
