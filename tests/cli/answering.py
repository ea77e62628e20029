"""Servers that answer one thing, whatever they are asked."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from support.serving import Handler, Server


class Reply(NamedTuple):
    """An answer; the path of the request may be asked for."""

    status: int
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()


class Answering(Server):
    """Answers every GET, and keeps the paths and headers."""

    def __init__(
        self,
        reply: Callable[[str], Reply],
        tls: ssl.SSLContext | None = None,
        at: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:
        super().__init__(_Handler, at)
        self.reply = reply
        self.requests: list[tuple[str, dict[str, str]]] = []
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that does not trust us is none of our problems."""


class _Handler(Handler):
    server: Answering

    def do_GET(self) -> None:
        self.server.requests.append((self.path, dict(self.headers)))
        reply = self.server.reply(self.path)
        body = reply.body.encode()
        self.send_response_only(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Proxy(Server):
    """Opens tunnels to wherever it is asked (RFC 9110, section 9.3.6)."""

    def __init__(self) -> None:
        super().__init__(_ProxyHandler)
        self.tunnels: list[str] = []


class _ProxyHandler(Handler):
    server: Proxy

    def do_CONNECT(self) -> None:
        self.server.tunnels.append(self.path)
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as beyond:
            self.send_response_only(200)
            self.end_headers()
            back = threading.Thread(target=_relay, args=(beyond, self.connection))
            back.start()
            _relay(self.connection, beyond)
            back.join()


def _relay(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            sink.sendall(part)
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def raw(answer: bytes | None) -> Iterator[str]:
    """A server that sends some bytes, or nothing at all and keeps the connection open."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        held = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                held.append(connection)
                if answer is not None:
                    with connection:
                        connection.recv(65536)
                        connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        # Closing alone does not wake accept() up.
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in held:
            connection.close()
