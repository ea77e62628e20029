"""Names, sockets and TLS, for the doctor: what is asked of the operating system, and how long.

Only the standard library, so that what is found does not depend on the SDK's HTTP client.
"""

from __future__ import annotations

import queue
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast
from urllib.parse import urlsplit

T = TypeVar("T")

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Endpoint(NamedTuple):
    """Where a URL leads."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.written_host}:{self.port}"

    @property
    def written_host(self) -> str:
        """The host as it stands in a URL."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def has_default_port(self) -> bool:
        return self.port == _DEFAULT_PORTS[self.scheme]


def endpoint(url: str) -> Endpoint | None:
    """The endpoint of a URL; ``None`` if it has none."""
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    if port is None or not parts.hostname:
        return None
    return Endpoint(parts.scheme, parts.hostname, port)


def within(seconds: float, function: Callable[[], T]) -> T:
    """What ``function`` returns or raises; :class:`TimeoutError` if it takes longer.

    A socket's own time limit counts anew for each byte, and looking up a name has none.
    """
    outcome: queue.Queue[tuple[bool, Any]] = queue.Queue()

    def work() -> None:
        try:
            outcome.put((True, function()))
        except BaseException as error:
            outcome.put((False, error))

    threading.Thread(target=work, daemon=True).start()
    try:
        succeeded, value = outcome.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    if succeeded:
        return cast("T", value)
    raise value


def connect(to: Endpoint, timeout: float) -> socket.socket:
    """A connection. Raises :class:`OSError`."""
    # A name may have a second address that works.
    return within(timeout, lambda: socket.create_connection((to.host, to.port), timeout / 2))


def handshake(plain: socket.socket, context: ssl.SSLContext, host: str) -> ssl.SSLSocket:
    """TLS on a connection, which is closed if that fails."""
    # Wrapping takes the socket over; what is left of it if that fails is closed here.
    with plain:
        return context.wrap_socket(plain, server_hostname=host)


def trusting_context() -> ssl.SSLContext:
    """For looking at a certificate only: nothing may be sent to a server that is not verified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def accepts_connections(to: Endpoint, timeout: float) -> bool:
    try:
        connect(to, timeout).close()
    except OSError:
        return False
    return True


def speaks_http(to: Endpoint, timeout: float) -> bool:
    """Whether a port answers to plain http."""

    def ask() -> bool:
        with socket.create_connection((to.host, to.port), timeout) as plain:
            plain.sendall(f"HEAD / HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n".encode())
            return plain.recv(5) == b"HTTP/"

    try:
        return within(timeout, ask)
    except (OSError, ValueError):
        return False


def speaks_https(to: Endpoint, timeout: float) -> bool:
    """Whether a port answers to a TLS handshake, with whatever certificate."""

    def ask() -> bool:
        plain = socket.create_connection((to.host, to.port), timeout)
        handshake(plain, trusting_context(), to.host).close()
        return True

    try:
        return within(timeout, ask)
    except (OSError, ValueError):
        return False


def reason_of(error: BaseException) -> str:
    """Why something on a socket failed, in a few words."""
    if isinstance(error, ssl.SSLError):
        return str(error.reason or error)
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
