"""One JSON line for every request, for tests and for the curious."""

from __future__ import annotations

import json
import os
from typing import Any, TextIO

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kruise_autopatch.protocol.headers import ACCESS_TOKEN, TRAFFIC_TOKEN

SECRET_HEADERS = frozenset(
    {
        ACCESS_TOKEN,
        TRAFFIC_TOKEN,
        "authorization",
        "cookie",
        "proxy-authorization",
        "x-api-key",
    }
)


class RequestLog:
    """Wraps an ASGI application and appends a line to a file for each of its requests.

    The line is written before the reply begins, so that whoever has a reply finds its line.
    """

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app = app
        # The ids of sandboxes are in it, and whoever knows one can run code in it.
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._file: TextIO = os.fdopen(descriptor, "a", encoding="utf-8")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        logged = False

        async def logging_send(message: Message) -> None:
            nonlocal logged
            if not logged:
                logged = True
                self._write(scope, _status(message))
            await send(message)

        try:
            await self._app(scope, receive, logging_send)
        finally:
            if not logged:
                self._write(scope, None)

    def _write(self, scope: Scope, status: int | None) -> None:
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        line: dict[str, Any] = {
            "method": scope.get("method", "GET"),
            "scheme": scope["scheme"],
            "host": headers.get("host", ""),
            "path": scope["raw_path"].decode("latin-1"),
            "query": scope["query_string"].decode("latin-1"),
            "status": status,
            "headers": {
                name: "<set>" if name in SECRET_HEADERS else value
                for name, value in headers.items()
            },
        }
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


def _status(message: Message) -> int:
    if message["type"] == "http.response.start":
        status: int = message["status"]
        return status
    return 101 if message["type"] == "websocket.accept" else 403
