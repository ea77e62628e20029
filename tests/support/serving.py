"""HTTP servers that tests need beside the local sandbox-manager."""

from __future__ import annotations

import socketserver
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

    def __init__(
        self, handler: type[BaseHTTPRequestHandler], at: tuple[str, int] = ("127.0.0.1", 0)
    ) -> None:
        super().__init__(at, handler)
        self.domain = f"{at[0]}:{self.server_port}"

    def server_bind(self) -> None:
        """Without looking up a name for the address, as HTTPServer does."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])

    def __enter__(self: _Server) -> _Server:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.shutdown()
        self.server_close()
