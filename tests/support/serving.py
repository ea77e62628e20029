"""HTTP servers that tests need beside the local sandbox-manager."""

from __future__ import annotations

import contextlib
import select
import socket
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

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


class ProxyHandler(Handler):
    """What a proxy does once it has answered a CONNECT by connecting."""

    def tunnel(self, onward: socket.socket) -> None:
        """Hand on what either side sends, until one of them ends."""
        self.send_response(200)
        self.end_headers()
        self.wfile.flush()
        pairs = {self.connection: onward, onward: self.connection}
        while True:
            for ready in select.select(list(pairs), [], [])[0]:
                data = ready.recv(65536)
                if not data:
                    self.close_connection = True
                    return
                pairs[ready].sendall(data)


class ProxyServer(Server):
    """Ends although tunnels are open."""

    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves in the middle is no news."""


def free_ports(count: int) -> int:
    """The first of so many free ports in a row, for servers of others."""
    while True:
        with contextlib.ExitStack() as sockets:
            probe = sockets.enter_context(socket.create_server(("", 0)))
            first: int = probe.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                for port in range(first + 1, first + count):
                    sockets.enter_context(socket.create_server(("", port)))
                return first
