"""URLs that somebody wrote: read a private or a native one, and give the other form of it.

Pure, like :mod:`kruise_autopatch.protocol`; apart from it, since no patch needs this.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from kruise_autopatch.protocol import (
    API_PATH,
    PREFIX,
    InvalidDomain,
    InvalidSandbox,
    api_url,
    is_public,
    parse_authority,
    sandbox_host,
    sandbox_url,
    split_port,
)

# A URL's user information. A password may contain an @ itself.
USER_INFORMATION = re.compile(r"(?<=://)[^\s/?#]*@")

_SCHEMES = ("http", "https", "ws", "wss")
_ANY_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.ASCII | re.IGNORECASE)
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
# The first label of a sandbox's native host. DNS knows no case.
_NATIVE_SANDBOX = re.compile(r"([0-9]{1,5})-([a-z0-9_-]*[a-z0-9_])", re.ASCII)
_LONGEST_LABEL = 63


class InvalidUrl(ValueError):
    """A URL that is not of the form it should have; the message says why."""


class Address(NamedTuple):
    """What a URL leads to, private or native: the API, or a port of a sandbox."""

    scheme: str
    # Of the private protocol: without api. or PORT-ID. before it.
    authority: str
    # None, and port too: the API.
    sandbox_id: str | None
    port: int | None
    # What follows, as it is written: path, query and fragment.
    rest: str


def other_form(url: str, *, https: bool | None = None) -> str:
    """The native form of a private URL, the private form of a native one.

    One without a scheme, as the SDK's ``get_host`` returns it, is answered without one.

    :param https: the scheme of the answer; ``None`` keeps that of ``url``
    :raises InvalidUrl: ``url`` is neither, or has no other form
    """
    if not _ANY_SCHEME.match(url):
        other = other_form(f"https://{url}", https=https)
        return other.partition("://")[2] if https is None else other
    private = _split(url)[2].startswith(PREFIX)
    address = parse_private(url) if private else parse_native(url)
    if https is not None:
        websocket = address.scheme in ("ws", "wss")
        address = address._replace(scheme=("ws" if websocket else "http") + "s" * https)
    return native_url(address) if private else private_url(address)


def parse_private(url: str) -> Address:
    """Read a private URL as sandbox-manager does. Raises :class:`InvalidUrl`."""
    scheme, authority, target = _split(url)
    path = re.split("[?#]", target)[0]
    if path == API_PATH or path.startswith(f"{API_PATH}/"):
        return Address(scheme, authority, None, None, target[len(API_PATH) :])
    if not path.startswith(f"{PREFIX}/"):
        raise InvalidUrl(f"has no path below {PREFIX}/, as private URLs have")
    sandbox_id, _, after = path[len(PREFIX) + 1 :].partition("/")
    port = after.partition("/")[0]
    if not _is_port(port):
        raise InvalidUrl(f"has {port!r} where {PREFIX}/ID/PORT has a port from 1 to 65535")
    start = f"{PREFIX}/{sandbox_id}/{port}"
    rest = target[len(start) :]
    if rest.startswith("?"):
        raise InvalidUrl("has a query straight after the port; the server wants a slash between")
    _check_sandbox(sandbox_id, int(port))
    return Address(scheme, authority, sandbox_id, int(port), rest)


def private_url(address: Address) -> str:
    """The inverse of :func:`parse_private`. Raises :class:`InvalidUrl`."""
    scheme, authority, sandbox_id, port, rest = address
    if is_public(authority):
        raise InvalidUrl("is of E2B's public cloud, which does not speak the private protocol")
    if sandbox_id is None or port is None:
        return f"{api_url(scheme, authority)}{rest}"
    _check_sandbox(sandbox_id, port)
    slash = "/" if rest.startswith("?") else ""
    return f"{sandbox_url(scheme, authority, sandbox_id, port)}{slash}{rest}"


def parse_native(url: str) -> Address:
    """Read ``api.DOMAIN/…`` or ``PORT-ID.DOMAIN/…``. Raises :class:`InvalidUrl`."""
    scheme, host, target = _split(url)
    if target.startswith(PREFIX):
        raise InvalidUrl(
            f"has a path that begins with {PREFIX}, which the server takes for its own"
        )
    label, dot, authority = host.partition(".")
    label = label.lower()
    sandbox = _NATIVE_SANDBOX.fullmatch(label)
    if not dot or not (label == "api" or (sandbox and _is_port(sandbox[1]))):
        raise InvalidUrl("is no native URL: its host is neither api.DOMAIN nor PORT-ID.DOMAIN")
    _check_domain(authority)
    if sandbox is None:
        return Address(scheme, authority, None, None, target)
    return Address(scheme, authority, sandbox[2], int(sandbox[1]), target)


def native_url(address: Address) -> str:
    """The inverse of :func:`parse_native`. Raises :class:`InvalidUrl`."""
    scheme, authority, sandbox_id, port, rest = address
    _check_domain(authority)
    if rest.startswith(PREFIX):
        raise InvalidUrl(f"has no native form: the server takes {PREFIX} in a path for its own")
    label = "api" if sandbox_id is None else f"{port}-{sandbox_id}"
    if sandbox_id is not None and not _NATIVE_SANDBOX.fullmatch(label):
        raise InvalidUrl(f"has no native form: a host name cannot have {sandbox_id!r} in it")
    if len(label) > _LONGEST_LABEL:
        raise InvalidUrl(f"has no native form: a host name's parts end at {_LONGEST_LABEL} letters")
    return f"{scheme}://{label}.{authority}{rest}"


def _split(url: str) -> tuple[str, str, str]:
    """Scheme, authority, and all that follows: ``urlsplit`` would leave out some characters."""
    if any(c.isspace() or not c.isprintable() for c in url):
        raise InvalidUrl("has a space or a control character; write it as %20, or the like")
    scheme, separator, after = url.partition("://")
    if not separator or scheme.lower() not in _SCHEMES:
        raise InvalidUrl(f"does not begin with one of {', '.join(f'{s}://' for s in _SCHEMES)}")
    authority = re.split("[/?#]", after)[0]
    try:
        parse_authority(authority)
    except InvalidDomain as reason:
        raise InvalidUrl(f"has the host {authority!r}, which {reason}") from None
    return scheme.lower(), authority, after[len(authority) :]


def _is_port(text: str) -> bool:
    return bool(_PORT.fullmatch(text)) and 0 < int(text) < 65536


def _check_sandbox(sandbox_id: str, port: int) -> None:
    try:
        sandbox_host("", sandbox_id, port)
    except InvalidSandbox as reason:
        raise InvalidUrl(f"leads nowhere: {reason}") from None


def _check_domain(authority: str) -> None:
    try:
        host, _ = split_port(parse_authority(authority))
    except InvalidDomain as reason:
        raise InvalidUrl(f"has the domain {authority!r}, which {reason}") from None
    if host.startswith("[") or host.rstrip(".").rpartition(".")[2].isdigit():
        raise InvalidUrl(f"has no native form: {host} is an address, which has no subdomains")
