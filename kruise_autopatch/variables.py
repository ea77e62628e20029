"""Every environment variable that decides something here: ours, the SDK's, and those of both.

For whoever looks at a whole environment: the doctor, its censor, the pytest plugin. Our own stand
in ``settings``, with what their values mean.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from kruise_autopatch import settings

# kruise-autopatch; some release of the SDK; or its HTTP clients, by way of their libraries.
Reader = Literal["kruise-autopatch", "e2b", "http"]


class Variable(NamedTuple):
    """A variable, who reads it, and what to know of it."""

    name: str
    reader: Reader
    # What it does if it is set.
    meaning: str
    # Whether its value is never shown.
    is_secret: bool = False
    # Whether its value is a URL or a host, and so may hold a name and a password, before an @.
    is_url: bool = False
    # Whether it leads a client, or a part of it, elsewhere than E2B_DOMAIN does.
    leads_elsewhere: bool = False


OURS = tuple(
    Variable(
        each.name,
        "kruise-autopatch",
        each.meaning,
        is_url=each in (settings.SANDBOX_DOMAIN, settings.NATIVE_DOMAINS),
        leads_elsewhere=each is settings.SANDBOX_DOMAIN,
    )
    for each in settings.VARIABLES
)

# Of every release from 2.8.0 to 2.63.0.
SDK = (
    Variable("E2B_DOMAIN", "e2b", "the host of the API and of sandboxes", is_url=True),
    Variable("E2B_API_KEY", "e2b", "the key for the API", is_secret=True),
    Variable("E2B_ACCESS_TOKEN", "e2b", "an account's token, for templates", is_secret=True),
    Variable(
        "E2B_API_URL",
        "e2b",
        "wins over the domain, for the API",
        is_url=True,
        leads_elsewhere=True,
    ),
    Variable(
        "E2B_SANDBOX_URL",
        "e2b",
        "wins over the domain, for files and commands",
        is_url=True,
        leads_elsewhere=True,
    ),
    Variable(
        "E2B_VOLUME_API_URL",
        "e2b",
        "wins over the domain, for volumes",
        is_url=True,
        leads_elsewhere=True,
    ),
    Variable("E2B_DEBUG", "e2b", "debug mode: everything is on localhost", leads_elsewhere=True),
    Variable("E2B_CONNECTION_RETRIES", "e2b", "how often a connection is tried again"),
    Variable("E2B_ENVD_POOL_SHARDS", "e2b", "into how many pools connections are divided"),
    Variable("E2B_HTTP_VERSION", "e2b", "1.1 or 2"),
    Variable("E2B_KEEPALIVE_EXPIRY", "e2b", "how long an idle connection is kept"),
    Variable("E2B_MAX_CONNECTIONS", "e2b", "how many connections there may be"),
    Variable("E2B_MAX_KEEPALIVE_CONNECTIONS", "e2b", "how many idle connections are kept"),
    Variable("E2B_STREAMS_PER_CONNECTION", "e2b", "how many requests share a connection"),
    Variable("E2B_VALIDATE_API_KEY", "e2b", "false drops the check of the key's form"),
)

HTTP = (
    Variable("SSL_CERT_FILE", "http", "the only certificates that are trusted"),
    Variable("SSL_CERT_DIR", "http", "a directory of certificates that are trusted"),
    Variable("HTTP_PROXY", "http", "the proxy for http", is_url=True),
    Variable("HTTPS_PROXY", "http", "the proxy for https", is_url=True),
    Variable("ALL_PROXY", "http", "the proxy for what has none of its own", is_url=True),
    Variable("NO_PROXY", "http", "hosts that are reached without a proxy"),
)

VARIABLES = (*OURS, *SDK, *HTTP)


def names(variables: Iterable[Variable]) -> tuple[str, ...]:
    return tuple(each.name for each in variables)


SECRETS = names(each for each in VARIABLES if each.is_secret)
URLS = names(each for each in VARIABLES if each.is_url)
LEADING_ELSEWHERE = names(each for each in VARIABLES if each.leads_elsewhere)
