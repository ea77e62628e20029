"""Routes that the real server does not have: below `OWN`, which no request of an SDK leads to."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Awaitable
from typing import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from ..control_plane import api_keys
from ..control_plane.api_keys import ApiKeys
from ..endpoints import Endpoints, NoEndpoint
from .faults import BadFault, Faults
from .page import PAGES, Page
from .paths import OWN
from .visitors import Visitors


class OwnRoutes:
    """Answers the requests to this server's own routes: the page's, and those with the API key."""

    def __init__(self, keys: ApiKeys, faults: Faults, visitors: Visitors, page: Page) -> None:
        self._keys = keys
        self._faults = faults
        self._visitors = visitors
        self._page = page

    async def serve(self, path: str, request: Request) -> Response:
        with contextlib.suppress(NoEndpoint):
            show, values = PAGES.find(request.method, path)
            return await self._page.serve(show, request, values)
        if not self._keys.accepts(request.headers.get(api_keys.HEADER)):
            return _refusal(401, "this needs the API key, in X-API-Key")
        try:
            handler, values = _ENDPOINTS.find(request.method, path)
        except NoEndpoint as missing:
            return _refusal(missing.status, f"{missing}: there is no {request.method} {path} here")
        return await handler(self, request, values)

    async def _begin_fault(self, request: Request, values: dict[str, str]) -> Response:
        try:
            fault = self._faults.begin(json.loads(await request.body()))
        except BadFault as error:
            return _refusal(400, str(error))
        except (ValueError, RecursionError):
            return _refusal(400, "the body is not JSON")
        return JSONResponse(fault.shown(), 201)

    async def _list_faults(self, request: Request, values: dict[str, str]) -> Response:
        return JSONResponse([fault.shown() for fault in self._faults.all()])

    async def _end_fault(self, request: Request, values: dict[str, str]) -> Response:
        fault = self._faults.end(values["id"])
        if fault is None:
            return _refusal(404, f"there is no fault {values['id']}, or it has ended")
        return JSONResponse(fault.shown())

    async def _make_link(self, request: Request, values: dict[str, str]) -> Response:
        return JSONResponse({"url": self._visitors.new_link()}, 201)


def _refusal(status: int, message: str) -> Response:
    return PlainTextResponse(f"{message}\n", status)


Handler = Callable[[OwnRoutes, Request, "dict[str, str]"], Awaitable[Response]]

_R = OwnRoutes
_ENDPOINTS: Endpoints[Handler] = Endpoints(
    {
        f"POST {OWN}faults": _R._begin_fault,
        f"GET {OWN}faults": _R._list_faults,
        f"DELETE {OWN}faults/{{id}}": _R._end_fault,
        f"POST {OWN}links": _R._make_link,
    }
)
