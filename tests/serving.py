"""HTTP servers that tests need beside the local sandbox-manager."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar

_Server = TypeVar("_Server", bound="Server")


class Handler(BaseHTTPRequestHandler):
    """Writes nothing to standard error."""

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """On a free port, of loopback unless told otherwise; serves inside a ``with`` statement."""

    def __init__(self, handler: type[BaseHTTPRequestHandler], address: str = "127.0.0.1") -> None:
        super().__init__((address, 0), handler)
        self.domain = f"127.0.0.1:{self.server_port}"

    def __enter__(self: _Server) -> _Server:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.shutdown()
        self.server_close()
