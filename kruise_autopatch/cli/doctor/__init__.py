"""``kruise-autopatch doctor``: does it work here, and if not, why?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kruise_autopatch import protocol, settings
from kruise_autopatch.cli.doctor import sdk_checks, start_up_checks, variable_checks
from kruise_autopatch.cli.doctor.api_checks import Network
from kruise_autopatch.cli.doctor.censor import Censor
from kruise_autopatch.cli.doctor.findings import Finding
from kruise_autopatch.errors import ConfigurationError
from kruise_autopatch.patches.route import Explicit, choose


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
    yield from start_up_checks.check(environment)
    yield from variable_checks.check(environment)
    sdk = sdk_checks.examine(environment)
    yield from sdk.findings
    if offline:
        yield Finding("network", "note", "the network is left out, because of --offline")
        return
    api_url = sdk.api_url or _api_url_without_sdk(environment)
    if api_url is None:
        text = "the network is left out: no URL is known"
        yield Finding("network", "note", text, "correct the problems above first.")
        return
    if _is_public(api_url):
        text = f"the network is left out: {api_url} is E2B's own cloud"
        yield Finding("network", "note", text)
        return
    network = Network(environment, timeout, sdk.e2b, censor.hide)
    yield from network.check(api_url, sdk.sandbox_url)


def _api_url_without_sdk(environment: Mapping[str, str]) -> str | None:
    """The URL that a client would have, if the SDK were here."""
    explicit = Explicit(
        domain=environment.get("E2B_DOMAIN"), api_url=environment.get("E2B_API_URL")
    )
    try:
        route = choose(settings.from_environment(environment), explicit)
    except ConfigurationError:
        return None
    return explicit.api_url or (route.api_url if route else None)


def _is_public(url: str) -> bool:
    authority = url.partition("://")[2].partition("/")[0].rpartition("@")[2]
    return protocol.is_public(authority)
