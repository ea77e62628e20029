"""`/kruise/<sandbox>/<port>/…`: the sandbox and the port that an address leads to.

The rules are those of openkruise/agents' custom E2B adapter: the rest of the path, the query
and every escape are handed on verbatim; the sandbox id is not decoded; and a query straight
after the port, without a slash between, does not parse.
"""

from __future__ import annotations

from typing import NamedTuple

from starlette.datastructures import Headers

from kruise_autopatch.protocol import PREFIX

from .errors import DataPlaneError


class Destination(NamedTuple):
    """A sandbox, a port, and the request target to send there."""

    sandbox_id: str
    port: int
    target: str


def by_path(target: str) -> Destination:
    """What a raw request target (path and query) below `/kruise/` leads to."""
    rest = target[len(PREFIX) + 1 :]
    sandbox_id, slash, rest = rest.partition("/")
    if not slash or not sandbox_id:
        raise DataPlaneError(500, f"API Error: invalid path format: {target}")
    port, slash, rest = rest.partition("/")
    try:
        # Go's Atoi is given all that precedes the next slash, including a query.
        number = int(port) if port.isascii() and port.isdigit() else None
    except ValueError:
        number = None
    if number is None:
        status = 500 if "?" in port or not port else 400
        raise DataPlaneError(status, f"API Error: invalid port number: {port}")
    if not 0 < number < 65536:
        raise DataPlaneError(400, f"API Error: invalid port number: {port}")
    return Destination(sandbox_id, number, "/" + rest)


def by_headers(target: str, headers: Headers) -> Destination | None:
    """What the SDKs' own headers lead to, which the server honours outside `/kruise`."""
    sandbox_id, port = headers.get("e2b-sandbox-id"), headers.get("e2b-sandbox-port")
    if not sandbox_id or not port:
        return None
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise DataPlaneError(400, f"API Error: invalid port number: {port}")
    return Destination(sandbox_id, int(port), target)
