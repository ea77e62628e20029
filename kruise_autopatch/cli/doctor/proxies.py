"""By which proxy a request goes, if by any: as the SDK's HTTP client reads the environment. Pure.

That is pyqwest, by way of hyper-util (``client/proxy/matcher.rs``). urllib, for one, reads the same
variables in other ways: networks, ports and ``*`` in NO_PROXY, ALL_PROXY, upper and lower case.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

# Older releases of e2b take no proxy from the environment, at least not for the API.
_SINCE_E2B = (2, 38)

# Where a CGI program runs, HTTP_PROXY may be a header of whoever asks (CVE-2016-5385).
_CGI = "REQUEST_METHOD"


class Proxy(NamedTuple):
    """A proxy, and the variable that names it."""

    variable: str
    url: str

    @property
    def scheme(self) -> str:
        return urlsplit(self.url).scheme.lower()


def proxy_for(
    environment: Mapping[str, str], scheme: str, host: str, e2b: tuple[int, ...]
) -> Proxy | None:
    """The proxy for a URL of this scheme and host, in this release of e2b."""
    if e2b < _SINCE_E2B or _CGI in environment or _is_direct(environment, host):
        return None
    return _named(environment, f"{scheme.upper()}_PROXY") or _named(environment, "ALL_PROXY")


def _named(environment: Mapping[str, str], name: str) -> Proxy | None:
    variable, text = _first(environment, name)
    url = text if "://" in text else f"http://{text}"
    try:
        return Proxy(variable, url) if urlsplit(url).hostname else None
    except ValueError:
        return None


def _first(environment: Mapping[str, str], name: str) -> tuple[str, str]:
    """The first spelling that is there, be it empty."""
    for spelling in (name, name.lower()):
        if spelling in environment:
            return spelling, environment[spelling].strip()
    return name, ""


def _is_direct(environment: Mapping[str, str], host: str) -> bool:
    _, listed = _first(environment, "NO_PROXY")
    entries = [entry.strip().lower() for entry in listed.split(",") if entry.strip()]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return any(_names(entry, host.lower()) for entry in entries)
    return any(_holds(entry, address) for entry in entries)


def _names(entry: str, host: str) -> bool:
    """Whether an entry is the host, or a domain that it is below."""
    bare = entry.lstrip(".")
    return entry == "*" or host == bare or host.endswith(f".{bare}")


def _holds(entry: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return address in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False
