"""Authorities: a host with an optional port (RFC 3986, section 3.2), as people write them.

Pure. What every client and every URL of it asks again is remembered: a program has few
authorities.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

# e2b/sandbox_domains.py of e2b 2.63.0. Their subdomains are E2B's too.
PUBLIC_DOMAINS = (
    "e2b.app",
    "e2b.dev",
    "e2b.pro",
    "e2b-staging.dev",
    "e2b-tango.dev",
    "e2b-juliett.dev",
)

# The port that a scheme means where none is written (RFC 9110, section 4.2).
_DEFAULT_PORTS = {"http": "80", "https": "443"}

# Which some readers of env files take for a part of the value.
_QUOTES = "\"'"


class Unusable(ValueError):
    """Something that cannot be part of a private URL: what is wrong, and what to do about it.

    Whoever knows where it comes from says so in an error of its own.
    """

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(f"{problem}; {advice}")
        self.problem = problem
        self.advice = advice


class InvalidDomain(Unusable):
    """A text that is not an authority: why, and what to write instead."""


@lru_cache(maxsize=256)
def parse_authority(text: str) -> str:
    """Return ``text`` if it is ``host``, ``host:port`` or ``[ipv6]:port``.

    Raises :class:`InvalidDomain` otherwise, with the reason and a correction.
    """
    unquoted = text.strip(_QUOTES)
    if unquoted != text:
        raise InvalidDomain(
            "has quotation marks around it", f"write the host without them{_such_as(unquoted)}"
        )
    if "://" in text:
        bare = text.split("://")[1].split("/")[0].strip()
        raise InvalidDomain("has a scheme", f"write only the host{_such_as(bare)}")
    if any(character.isspace() for character in text):
        bare = "".join(text.split())
        kind = "a line break" if any(c in "\r\n" for c in text) else "a space"
        raise InvalidDomain(f"contains {kind}", f"write the host without it{_such_as(bare)}")
    for mark, meaning in (("/", "a path"), ("?", "a query"), ("#", "a fragment")):
        if mark in text:
            bare = text.split(mark)[0]
            raise InvalidDomain(f"has {meaning}", f"write only the host{_such_as(bare)}")
    if "@" in text:
        bare = text.rsplit("@", 1)[1]
        raise InvalidDomain("has user information", f"write only the host{_such_as(bare)}")

    host, port = split_port(text)
    if port is not None and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise InvalidDomain(
            f"has the port {port!r}",
            "write a number from 1 to 65535 after the colon, or none",
        )
    if not host.startswith("["):
        _check_labels(host)
    return text


def _such_as(correction: str) -> str:
    try:
        return f", such as {parse_authority(correction)!r}"
    except InvalidDomain:
        return ", such as 'sandbox.example.com' or 'sandbox.example.com:8443'"


def split_port(text: str) -> tuple[str, str | None]:
    if text.startswith("["):
        address, bracket, rest = text[1:].partition("]")
        if not bracket or not _is_ipv6(address) or (rest and not rest.startswith(":")):
            raise InvalidDomain("is not an IPv6 address", "write it as '[::1]' or '[::1]:8443'")
        return f"[{address}]", rest[1:] if rest else None
    if text.count(":") > 1:
        correction = f"[{text}]" if _is_ipv6(text) else "[::1]:8443"
        raise InvalidDomain(
            "has more than one colon",
            f"write an IPv6 address in brackets, such as {correction!r}",
        )
    host, colon, port = text.partition(":")
    return host, port if colon else None


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _check_labels(host: str) -> None:
    # One trailing dot marks a fully qualified name (RFC 1034, section 3.1), as pods use to
    # avoid their search list.
    labels = (host[:-1] if host.endswith(".") else host).split(".")
    if not all(labels):
        raise InvalidDomain("has an empty label", "write a host such as 'sandbox.example.com'")
    for label in labels:
        if not _is_label(label):
            raise InvalidDomain(
                f"has the label {label!r}",
                "write letters, digits and hyphens between the dots, such as 'sandbox.example.com'",
            )


def _is_label(text: str) -> bool:
    # Letters and digits of any script: the SDK's HTTP client encodes them (IDNA).
    return text.strip("-") == text and text.replace("-", "0").replace("_", "0").isalnum()


@lru_cache(maxsize=256)
def is_public(authority: str) -> bool:
    """Whether ``authority`` belongs to E2B's own cloud, whose URLs are never rewritten."""
    return is_among(authority, PUBLIC_DOMAINS)


def is_among(authority: str, domains: Iterable[str]) -> bool:
    """Whether ``authority`` is one of these, or below one; one without a port is of every port."""
    host, port = _host_and_port(authority)
    for domain in domains:
        name, of_port = _host_and_port(domain)
        if of_port in ("", port) and (host == name or host.endswith(f".{name}")):
            return True
    return False


def _host_and_port(authority: str) -> tuple[str, str]:
    host, colon, port = authority.rpartition(":")
    if not colon or "]" in port:
        host, port = authority, ""
    return host.lower().rstrip("."), port


def authority_of(url: str) -> str:
    """The authority of a URL, without user information; empty if it has none."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return ""


def same(scheme: str, first: str, second: str) -> bool:
    """Whether two authorities of a URL with this scheme name the same server.

    However they are spelled (RFC 3986, section 6.2): in any case, with the scheme's own port or
    without, with the dot at the end of a fully qualified name or without.
    """
    return first == second or _normal(scheme, first) == _normal(scheme, second)


def _normal(scheme: str, authority: str) -> tuple[str, str]:
    host, port = split_port(authority)
    if host.startswith("["):
        host = str(ipaddress.IPv6Address(host[1:-1]))
    return host.lower().rstrip("."), str(int(port or _DEFAULT_PORTS[scheme]))


def without_secrets(text: str) -> str:
    """``text``, which should have been an authority or a URL, for a message.

    What may be a password or a token is left out: user information, and a query.
    """
    before, mark, _ = text.partition("?")
    text = f"{before}?<hidden>" if mark else text
    scheme, separator, rest = text.rpartition("://")
    _, at, host = rest.rpartition("@")
    return f"{scheme}{separator}<user>@{host}" if at else text
