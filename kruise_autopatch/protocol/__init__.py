"""The private protocol of OpenKruise Agents: names in, URLs out, and back.

Pure functions: no SDK, no environment. This is the only module that spells ``/kruise``. The
routes are sandbox-manager's (``pkg/servers/e2b/adapters`` of openkruise/agents):

* control plane: ``<scheme>://<authority>/kruise/api/…``
* data plane:    ``<scheme>://<authority>/kruise/<sandbox id>/<port>/…``
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit, urlunsplit

from kruise_autopatch.protocol.authorities import InvalidDomain as InvalidDomain
from kruise_autopatch.protocol.authorities import Unusable as Unusable
from kruise_autopatch.protocol.authorities import authority_of as authority_of
from kruise_autopatch.protocol.authorities import is_among as is_among
from kruise_autopatch.protocol.authorities import is_public as is_public
from kruise_autopatch.protocol.authorities import parse_authority as parse_authority
from kruise_autopatch.protocol.authorities import same as same
from kruise_autopatch.protocol.authorities import split_port as split_port
from kruise_autopatch.protocol.authorities import without_secrets as without_secrets

# Where sandbox-manager and sandbox-gateway listen, in every way of installing them.
PORT = 7788

PREFIX = "/kruise"
API_PATH = f"{PREFIX}/api"

# Seconds. sandbox-manager refuses a connect without a positive timeout; the SDK's v2 route
# documents 300 as the value of one that is left out.
DEFAULT_CONNECT_TIMEOUT = 300


class InvalidSandbox(Unusable):
    """The id of a sandbox, or a port of it, to which no private URL leads."""


# --- control plane -------------------------------------------------------------------------


def api_url(scheme: str, authority: str) -> str:
    """The control plane's base URL, without a slash at its end."""
    return f"{scheme}://{authority}{API_PATH}"


@lru_cache(maxsize=256)
def parse_api_url(url: str) -> tuple[str, str] | None:
    """The inverse of :func:`api_url`: scheme and authority; ``None`` for any other URL.

    The authority is as it was written, and not checked.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme in ("http", "https") and parts.path.rstrip("/") == API_PATH:
        return parts.scheme, parts.netloc
    return None


# --- data plane ----------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def sandbox_host(authority: str, sandbox_id: str, port: int) -> str:
    """What stands in for a sandbox's host name: append a path, or nothing, but no query.

    Raises :class:`InvalidSandbox` for an id or a port that no server has, and that might change the
    shape of the path, or where it leads.
    """
    if not _is_segment(sandbox_id):
        raise InvalidSandbox(
            f"sandbox id {sandbox_id!r} is none that a server makes: letters, digits and . _ ~ -,"
            " beginning with a letter, a digit or _",
            "look where it comes from",
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


def _is_segment(text: str) -> bool:
    """Whether it is made of what RFC 3986, section 2.3, calls unreserved, and no ``.`` or ``..``.

    Transports that follow WHATWG's URL standard take ``%2e%2e`` for ``..``, too.
    """
    first_counts = text[:1].isalnum() or text[:1] == "_"
    return first_counts and text.isascii() and text.translate(_PUNCTUATION).isalnum()


_PUNCTUATION = str.maketrans("._~-", "0000")


def sandbox_url(scheme: str, authority: str, sandbox_id: str, port: int) -> str:
    """The base URL of one port of a sandbox, without a slash at its end."""
    return f"{scheme}://{sandbox_host(authority, sandbox_id, port)}"


def sandbox_port(target: str) -> str | None:
    """The sandbox id and port, as ``ID/PORT``, that a request target leads to; ``None``: to none.

    What natively is the ``PORT-ID`` of a host.
    """
    parts = target.split("/", 4)
    if len(parts) < 4 or f"/{parts[1]}" != PREFIX or f"{PREFIX}/{parts[2]}" == API_PATH:
        return None
    return f"{parts[2]}/{parts[3]}"


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
