"""The private protocol of OpenKruise Agents: names in, URLs out, and back.

Pure functions: no SDK, no environment. This is the only module that spells ``/kruise``. The
routes are sandbox-manager's (``pkg/servers/e2b/adapters`` of openkruise/agents):

* control plane: ``<scheme>://<authority>/kruise/api/…``
* data plane:    ``<scheme>://<authority>/kruise/<sandbox id>/<port>/…``

An *authority* is a host with an optional port (RFC 3986, section 3.2). Annotations are evaluated
here, as in ``settings``.
"""

import ipaddress
from typing import Any, Optional
from urllib.parse import urlsplit, urlunsplit

# Where sandbox-manager and sandbox-gateway listen, in every way of installing them.
PORT = 7788

PREFIX = "/kruise"
API_PATH = f"{PREFIX}/api"

# Seconds. sandbox-manager refuses a connect without a positive timeout; the SDK's v2 route
# documents 300 as the value of one that is left out.
DEFAULT_CONNECT_TIMEOUT = 300

# e2b/sandbox_domains.py of e2b 2.63.0. Their subdomains are E2B's too.
PUBLIC_DOMAINS = (
    "e2b.app",
    "e2b.dev",
    "e2b.pro",
    "e2b-staging.dev",
    "e2b-tango.dev",
    "e2b-juliett.dev",
)


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


class InvalidSandbox(Unusable):
    """The id of a sandbox, or a port of it, to which no private URL leads."""


# --- authorities ---------------------------------------------------------------------------


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
        bare = text.split("://", 1)[1].split("/", 1)[0].strip()
        raise InvalidDomain("has a scheme", f"write only the host{_such_as(bare)}")
    if any(character.isspace() for character in text):
        bare = "".join(text.split())
        kind = "a line break" if any(c in "\r\n" for c in text) else "a space"
        raise InvalidDomain(f"contains {kind}", f"write the host without it{_such_as(bare)}")
    for mark, meaning in (("/", "a path"), ("?", "a query"), ("#", "a fragment")):
        if mark in text:
            bare = text.split(mark, 1)[0]
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


def split_port(text: str) -> tuple[str, Optional[str]]:
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


def is_public(authority: str) -> bool:
    """Whether ``authority`` belongs to E2B's own cloud, whose URLs are never rewritten."""
    host = authority.rpartition(":")[0] if ":" in authority else authority
    host = host.lower().rstrip(".")
    return any(host == domain or host.endswith(f".{domain}") for domain in PUBLIC_DOMAINS)


# --- control plane -------------------------------------------------------------------------


def api_url(scheme: str, authority: str) -> str:
    """The control plane's base URL, without a slash at its end."""
    return f"{scheme}://{authority}{API_PATH}"


def parse_api_url(url: str) -> Optional[tuple[str, str]]:
    """The inverse of :func:`api_url`: scheme and authority; ``None`` for any other URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        # Such as http://[bad
        return None
    if parts.scheme in ("http", "https") and parts.path.rstrip("/") == API_PATH:
        return parts.scheme, parts.netloc
    return None


def v1_request(request: dict[str, Any]) -> dict[str, Any]:
    """An SDK request to a v2 create or connect route, as the v1 request every server knows.

    ``request`` holds the keyword arguments of ``httpx.Client.request``. sandbox-manager answers
    405 to ``POST /v2/sandboxes…`` (``pkg/servers/e2b/routes.go``).
    """
    path: str = request["url"]
    if not path.startswith("/v2/sandboxes"):
        return request
    moved = {**request, "url": path[len("/v2") :]}
    if path.endswith("/connect"):
        moved["json"] = {"timeout": DEFAULT_CONNECT_TIMEOUT, **request.get("json", {})}
    return moved


# --- data plane ----------------------------------------------------------------------------


def sandbox_host(authority: str, sandbox_id: str, port: int) -> str:
    """What stands in for a sandbox's host name: append a path, or nothing, but no query.

    Raises :class:`InvalidSandbox` for an id or a port that would change the shape of the path, or
    where it leads.
    """
    if (
        sandbox_id in ("", ".", "..")
        or any(c in "/?#\\" or c.isspace() for c in sandbox_id)
        or not sandbox_id.isprintable()
    ):
        raise InvalidSandbox(
            f"sandbox id {sandbox_id!r} cannot be part of a URL path", "look where it comes from"
        )
    # sandbox-manager and the gateway compare no more than these letters.
    if sandbox_id.startswith("api"):
        raise InvalidSandbox(
            f"sandbox id {sandbox_id!r} begins with 'api', and the server takes every path below"
            f" {API_PATH} for its API",
            "use a namespace, or a prefix of short ids, that does not",
        )
    if not 0 < int(port) < 65536:
        raise InvalidSandbox(
            f"port {port!r} is not a port number", "write a number from 1 to 65535"
        )
    return f"{authority}{PREFIX}/{sandbox_id}/{int(port)}"


def sandbox_url(scheme: str, authority: str, sandbox_id: str, port: int) -> str:
    """The base URL of one port of a sandbox, without a slash at its end."""
    return f"{scheme}://{sandbox_host(authority, sandbox_id, port)}"


def sandbox_pattern(scheme: str, authority: str) -> str:
    """What every :func:`sandbox_url` of a host looks like, for people."""
    return f"{scheme}://{authority}{PREFIX}/<sandbox>/<port>/"


def with_scheme(url: str, scheme: str) -> str:
    """``url`` with its scheme replaced."""
    return f"{scheme}://{url.split('://', 1)[1]}"


def below(base: str, url: str) -> str:
    """``url``, which ``urljoin`` resolved against the root of ``base``, put back below ``base``."""
    if url.startswith(f"{base}/"):
        return url
    parts, prefix = urlsplit(url), urlsplit(base)
    return urlunsplit(
        (prefix.scheme, prefix.netloc, f"{prefix.path}{parts.path}", parts.query, parts.fragment)
    )


def with_websocket_path(url: str) -> str:
    """A noVNC page's URL with the ``path`` that makes its websocket stay below the sandbox port.

    One value is right for every noVNC: those that resolve it against the page (1.6) and those
    that append it to the host (1.5 and older), where ``..`` stops at the root.
    """
    parts = urlsplit(url)
    directory = parts.path.rpartition("/")[0]
    path = f"path=../../..{directory}/websockify"
    query = f"{parts.query}&{path}" if parts.query else path
    return urlunsplit(parts._replace(query=query))
