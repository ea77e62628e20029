"""One JSON line for every request, for tests and for the curious."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from typing import Any, NamedTuple, TextIO

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


# So many are kept for the page.
_RECENT = 500


class Logged(NamedTuple):
    """A request, its number among all, and when it was answered with which status."""

    number: int
    at: float
    scope: Scope
    # `None`: the connection ended before.
    status: int | None

    def line(self) -> dict[str, Any]:
        """What is written of it. Made when it is read: most are read by nobody."""
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in self.scope["headers"]
        }
        return {
            "method": self.scope.get("method", "GET"),
            "scheme": self.scope["scheme"],
            "host": headers.get("host", ""),
            "path": self.scope["raw_path"].decode("latin-1"),
            "query": self.scope["query_string"].decode("latin-1"),
            "status": self.status,
            "headers": {
                name: "<set>" if name in SECRET_HEADERS else value
                for name, value in headers.items()
            },
        }


class RequestLog:
    """Wraps an ASGI application and keeps a line for each request, in a file if one is named.

    The line is written before the reply begins, so that whoever has a reply finds its line.
    """

    def __init__(self, app: ASGIApp, path: str | None) -> None:
        self._app = app
        self._recent: deque[Logged] = deque(maxlen=_RECENT)
        self._count = 0
        self._file: TextIO | None = None
        if path is not None:
            self._file = _opened(path)

    def recent(self, after: int) -> list[Logged]:
        """The last ones, without those up to a number."""
        return [logged for logged in self._recent if logged.number > after]

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
        self._count += 1
        logged = Logged(self._count, time.time(), scope, status)
        self._recent.append(logged)
        if self._file is not None:
            self._file.write(json.dumps(logged.line()) + "\n")
            self._file.flush()


def _opened(path: str) -> TextIO:
    # The ids of sandboxes are in it, and whoever knows one can run code in it.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    return os.fdopen(descriptor, "a", encoding="utf-8")


def _status(message: Message) -> int:
    if message["type"] == "http.response.start":
        status: int = message["status"]
        return status
    return 101 if message["type"] == "websocket.accept" else 403
