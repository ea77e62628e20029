"""The outermost application: answers what is this server's own, and hands on all else."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from ..data_plane.errors import DataPlaneError
from ..data_plane.gateway import refuse
from ..doorkeeper import Doorkeeper
from .paths import is_own
from .routes import OwnRoutes


class Front:
    """Its own requests do not stand in the log of requests: they are no part of the protocol."""

    def __init__(self, app: ASGIApp, doorkeeper: Doorkeeper, routes: OwnRoutes) -> None:
        self._app = app
        self._doorkeeper = doorkeeper
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_own(scope["path"], Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        try:
            self._doorkeeper.check(Headers(scope=scope))
        except DataPlaneError as error:
            await refuse(error, scope, receive, send)
            return
        response = await self._routes.serve(scope["path"], Request(scope, receive))
        await response(scope, receive, send)
