"""envd as a whole: which of its two halves a request is for, and what both do alike."""

from __future__ import annotations

import errno
import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..inside.house import House
from . import connect_protocol, filesystem_rpcs, http_api, process_rpcs
from .callers import check
from .errors import EnvdError

_RPCS = {**filesystem_rpcs.METHODS, **process_rpcs.METHODS}

_EXPOSED = (
    "Grpc-Status, Grpc-Message, Grpc-Status-Details-Bin, Location, Cache-Control, "
    "X-Content-Type-Options"
)


class Envd:
    """The ASGI application of one sandbox's envd."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        response = await self._answer(request)
        response.headers.setdefault("Vary", "Origin")
        if "origin" in request.headers and request.method != "OPTIONS":
            response.headers["Access-Control-Allow-Origin"] = "*"
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        asked = request.headers.get("access-control-request-method")
        if request.method == "OPTIONS" and asked:
            return Response(
                status_code=204,
                headers={
                    "Access-Control-Allow-Methods": asked,
                    "Access-Control-Allow-Origin": "*",
                    "Access-Control-Max-Age": "7200",
                    "Vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
                },
            )
        try:
            http_api.check_access(self._house, request)
            # chi matches the path as it was sent, escapes and all.
            path = request.scope["raw_path"].decode("latin-1")
            if path in _RPCS:
                return await connect_protocol.serve(_RPCS[path], self._house, request, check)
            return await http_api.serve(self._house, path, request)
        except OSError as error:
            # 507 is what the SDKs take for a full disk.
            status = 507 if error.errno == errno.ENOSPC else 500
            return _refusal(EnvdError(status, error.strerror or str(error)))
        except EnvdError as error:
            return _refusal(error)


def _refusal(error: EnvdError) -> Response:
    text: Any = error.message
    if not error.plain:
        text = json.dumps(
            {"code": error.status, "message": text}, separators=(",", ":"), ensure_ascii=False
        )
    kind = "text/plain" if error.plain else "application/json"
    return Response(
        f"{text}\n".encode("utf-8", "replace"),
        error.status,
        {"Content-Type": f"{kind}; charset=utf-8", "X-Content-Type-Options": "nosniff"},
    )
