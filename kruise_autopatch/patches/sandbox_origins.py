"""Connections by sandbox in a pool of ``httpcore``, which keeps them by origin."""

from __future__ import annotations

from functools import partial
from typing import Any

from httpcore import URL, Origin, Request

import kruise_autopatch.protocol as protocol


class _SandboxOrigin(Origin):
    """An origin that serves one port of a sandbox alone."""

    def __init__(self, origin: Origin, sandbox_port: str) -> None:
        super().__init__(origin.scheme, origin.host, origin.port)
        self._sandbox_port = sandbox_port

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _SandboxOrigin)
            and self._sandbox_port == other._sandbox_port
            and super().__eq__(other)
        )

    __hash__ = None  # type: ignore[assignment]


class _SandboxUrl(URL):
    def __init__(self, url: URL, sandbox_port: str) -> None:
        super().__init__(scheme=url.scheme, host=url.host, port=url.port, target=url.target)
        self._origin = _SandboxOrigin(url.origin, sandbox_port)

    @property
    def origin(self) -> Origin:
        return self._origin


def separate(pool: Any) -> None:
    """Let no sandbox share a connection of a pool, sync or async, over https."""
    for method in ("handle_request", "handle_async_request"):
        native = getattr(pool, method, None)
        if native is not None:
            setattr(pool, method, partial(_handle, native))


def _handle(native: Any, request: Request) -> Any:
    url = request.url
    # Only over TLS can a connection be HTTP/2.
    sandbox_port = protocol.sandbox_port(url.target.decode()) if url.scheme == b"https" else None
    if sandbox_port is not None:
        request.url = _SandboxUrl(url, sandbox_port)
    return native(request)
