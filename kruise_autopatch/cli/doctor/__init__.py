"""``kruise-autopatch doctor``: does it work here, and if not, why?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kruise_autopatch import protocol, settings, versions
from kruise_autopatch.cli.doctor import api, data_plane, sdk, start_up, variables
from kruise_autopatch.cli.doctor.censor import Censor
from kruise_autopatch.cli.doctor.findings import Finding, found
from kruise_autopatch.cli.doctor.network import Means, Named, Reach, reach_proxy
from kruise_autopatch.cli.doctor.request import Client
from kruise_autopatch.cli.doctor.sdk import SDK
from kruise_autopatch.cli.doctor.sockets import Endpoint, endpoint
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
    elif _is_public(api_url):
        yield found("network", "public-cloud", url=api_url)
    elif _is_left_alone(environment, api_url):
        among = settings.NATIVE_DOMAINS.name
        yield found("network", "network-left-native", url=api_url, among=among)
    else:
        means = Means(environment, timeout, versions.numbers(package.e2b or ""))
        yield from _network(Client(means, censor.hide), api_url, package)


def _network(client: Client, api_url: str, package: SDK) -> Iterator[Finding]:
    """The way to the API and its answer; the way to sandboxes, and who is there."""
    at = endpoint(api_url)
    if at is None:
        yield found("network", "url-unusable", url=api_url)
        return
    way = list(_reach(client, at, api_url, _API_VARIABLES))
    yield from way
    listed = api.Listed([])
    is_on = _is_on(client.means.environment)
    if package.api_url is None or is_on is None:
        yield found("api", "no-client", to=at)
    elif _is_open(way):
        native = package.is_native
        listed = api.check(client, at, api_url, is_on=is_on, is_native=native)
        yield from listed.findings
    if package.sandbox_url is None:
        return
    sandboxes = endpoint(package.sandbox_url)
    if sandboxes is not None and sandboxes != at:
        way = list(_reach(client, sandboxes, package.sandbox_url, _SANDBOX_VARIABLES))
        yield from way
    if _is_open(way) and listed.sandboxes is not None:
        yield from data_plane.check(client, package.sandbox_url, listed.sandboxes)


# The variables that decide where requests go, the first before the others.
_API_VARIABLES = ("E2B_API_URL", "E2B_DOMAIN")
_SANDBOX_VARIABLES = (
    "E2B_SANDBOX_URL",
    settings.SANDBOX_DOMAIN.name,
    "E2B_DOMAIN",
    "E2B_API_URL",
)


def _reach(client: Client, to: Endpoint, url: str, names: tuple[str, ...]) -> Iterator[Finding]:
    proxy = client.proxy_for(to)
    if proxy is not None:
        yield from reach_proxy(client.means, proxy, to)
        return
    variable = next((name for name in names if client.means.environment.get(name)), "E2B_DOMAIN")
    yield from Reach(client.means, to, _named(variable, to, url)).check()


def _named(variable: str, to: Endpoint, url: str) -> Named:
    """How the same would be written with OpenKruise's port."""
    host = f"{to.written_host}:{protocol.PORT}"
    if not variable.endswith("_URL"):
        return Named(variable, host)
    path = url.partition("://")[2].partition("/")[2] if variable == "E2B_API_URL" else ""
    return Named(variable, f"{to.scheme}://{host}{f'/{path}' if path else ''}")


def _is_open(way: list[Finding]) -> bool:
    """Whether a request can be sent by it, and by us."""
    return all(
        finding.state != "problem" and finding.code != "proxy-not-examined" for finding in way
    )


def _is_on(environment: Mapping[str, str]) -> bool | None:
    """Whether the SDK is switched on; ``None`` if that is misspelt, so that it is not imported."""
    try:
        return settings.is_enabled(environment)
    except KruiseAutopatchError:
        return None


def _api_url_without_sdk(environment: Mapping[str, str]) -> str | None:
    """The URL that a client would have, if the SDK were here."""
    try:
        # Without wrapt it cannot be imported.
        from kruise_autopatch.patches.route import Explicit, Route, choose

        explicit = Explicit(
            domain=environment.get("E2B_DOMAIN"), api_url=environment.get("E2B_API_URL")
        )
        route = choose(settings.from_environment(environment), explicit)
    except KruiseAutopatchError:
        return None
    if explicit.api_url or route is None:
        return explicit.api_url
    return route.api_url if isinstance(route, Route) else f"https://api.{explicit.domain}"


def _is_public(url: str) -> bool:
    return protocol.is_public(protocol.authority_of(url))


def _is_left_alone(environment: Mapping[str, str], url: str) -> bool:
    try:
        chosen = settings.from_environment(environment)
    except KruiseAutopatchError:
        return False
    return chosen.leaves_alone(protocol.authority_of(url))
