"""``kruise-autopatch doctor``: does it work here, and if not, why?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kruise_autopatch import protocol, settings
from kruise_autopatch.cli.doctor import api, sdk, start_up, variables
from kruise_autopatch.cli.doctor.censor import Censor
from kruise_autopatch.cli.doctor.findings import Finding, found
from kruise_autopatch.cli.doctor.request import Client
from kruise_autopatch.errors import KruiseAutopatchError


def examine(environment: Mapping[str, str], *, offline: bool, timeout: float) -> Iterator[Finding]:
    """Every finding, without secrets, as soon as it is made.

    :param timeout: seconds, for each step on the network
    """
    censor = Censor(environment)
    for finding in _examine(environment, offline, timeout, censor):
        yield finding.rewritten(censor)


def _examine(
    environment: Mapping[str, str], offline: bool, timeout: float, censor: Censor
) -> Iterator[Finding]:
    yield from start_up.check(environment)
    yield from variables.check(environment)
    package = sdk.examine(environment)
    yield from package.findings
    if offline:
        yield found("network", "offline")
        return
    api_url = package.api_url or _api_url_without_sdk(environment)
    if api_url is None:
        yield found("network", "url-unknown")
        return
    if _is_public(api_url):
        yield found("network", "public-cloud", url=api_url)
        return
    client = Client(environment, timeout, package.e2b, censor.hide)
    yield from api.check(client, api_url, package.sandbox_url)


def _api_url_without_sdk(environment: Mapping[str, str]) -> str | None:
    """The URL that a client would have, if the SDK were here."""
    try:
        # Without wrapt it cannot be imported.
        from kruise_autopatch.patches.route import Explicit, choose

        explicit = Explicit(
            domain=environment.get("E2B_DOMAIN"), api_url=environment.get("E2B_API_URL")
        )
        route = choose(settings.from_environment(environment), explicit)
    except KruiseAutopatchError:
        return None
    return explicit.api_url or (route.api_url if route else None)


def _is_public(url: str) -> bool:
    authority = url.partition("://")[2].partition("/")[0].rpartition("@")[2]
    return protocol.is_public(authority)
