"""The sandbox and the port that an address leads to.

The rules are those of openkruise/agents' E2B adapters: below `/kruise/` the path alone counts;
elsewhere the SDKs' headers do, or else the host name. The rest of the path, the query and every
escape are handed on verbatim; the sandbox id is not decoded; and a query straight after the
port, without a slash between, does not parse.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from starlette.datastructures import Headers

from kruise_autopatch.protocol import PREFIX

from .errors import DataPlaneError

# Go's Atoi, whose numbers have 64 bits.
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_SANDBOX_HOST = re.compile(r"([0-9]{1,5})-([^.]+)\.", re.ASCII)


class Destination(NamedTuple):
    """A sandbox, a port, and the request target to send there."""

    sandbox_id: str
    port: int
    target: str


class Unmapped(DataPlaneError):
    """An address that leads to no sandbox, whatever sandboxes there are."""

    def __init__(self, scheme: str, host: str, target: str) -> None:
        url = f"{scheme}://{host}{target}"
        super().__init__(500, f"API Error: failed to map request to sandbox, URL={url}")


def find(scheme: str, target: str, headers: Headers) -> Destination:
    """Where a raw request target (path and query) leads. Raises `DataPlaneError`."""
    unmapped = Unmapped(scheme, headers.get("host", ""), target)
    if target.startswith(PREFIX):
        return _by_path(target, unmapped)
    sandbox_id, port = headers.get("e2b-sandbox-id"), headers.get("e2b-sandbox-port")
    if sandbox_id and port:
        return Destination(sandbox_id, _port(port, unmapped), target)
    named = _SANDBOX_HOST.match(headers.get("host", ""))
    if named is None:
        raise unmapped
    return Destination(named[2], _port(named[1], unmapped), target)


def names_a_sandbox(headers: Headers) -> bool:
    """Whether a request outside of `/kruise/` is for a sandbox all the same."""
    by_headers = headers.get("e2b-sandbox-id") and headers.get("e2b-sandbox-port")
    return bool(by_headers) or _SANDBOX_HOST.match(headers.get("host", "")) is not None


def _by_path(target: str, unmapped: Unmapped) -> Destination:
    if not target.startswith(f"{PREFIX}/"):
        raise unmapped
    sandbox_id, slash, rest = target[len(PREFIX) + 1 :].partition("/")
    if not slash or not sandbox_id:
        raise unmapped
    # Atoi is given all that precedes the next slash, including a query.
    port, _, rest = rest.partition("/")
    return Destination(sandbox_id, _port(port, unmapped), "/" + rest)


def _port(text: str, unmapped: Unmapped) -> int:
    if not _INTEGER.fullmatch(text):
        raise unmapped
    number = int(text)
    if not 0 <= number < 65536:
        raise DataPlaneError(400, f"API Error: invalid sandbox port: {number}")
    return number
