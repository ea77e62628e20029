"""Who may ask at all: programs on this machine, and pages that this server itself has sent.

A page of any site can have the browser of somebody who works here send requests to loopback.
Two things give that away: the site's own name as the Host, where its name server has been made
to answer with 127.0.0.1 (DNS rebinding); and an Origin, or `Sec-Fetch-Site`, that is another one.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from .data_plane.errors import DataPlaneError


class Doorkeeper:
    """Refuses what no program of this machine's would send."""

    def __init__(self, domains: list[str]) -> None:
        # Names under which this server is known beside those of loopback, without their ports.
        self._domains = [_host(domain) for domain in domains]

    def check(self, headers: Headers) -> None:
        """Raise `DataPlaneError` if a request comes by a name, or from a page, that is not ours."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_ours(_host(hosts[0])):
            shown = ", ".join(hosts)
            raise DataPlaneError(
                421,
                f"this local sandbox-manager is not known as {shown!r}: use 127.0.0.1, localhost, "
                "or the name of --e2b-domain\n",
            )
        origin = headers.get("origin")
        if headers.get("sec-fetch-site") == "cross-site" or (
            origin is not None and not self._is_ours(_host_of_origin(origin))
        ):
            raise DataPlaneError(
                403, "pages of other sites are not served by the local sandbox-manager\n"
            )

    def _is_ours(self, host: str) -> bool:
        return _is_loopback(host) or any(
            host == domain or host.endswith(f".{domain}") for domain in self._domains
        )


@lru_cache(256)
def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _host(authority: str) -> str:
    """The host of an authority, in lower case, without port and trailing dot."""
    host, colon, port = authority.rpartition(":")
    if not colon or port.endswith("]"):
        host = authority
    return host.lower().rstrip(".")


def _host_of_origin(origin: str) -> str:
    try:
        return (urlsplit(origin).hostname or "").rstrip(".")
    except ValueError:
        return ""
