"""Which way a client goes: what the user set explicitly wins, and nothing is guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kruise_autopatch import ConfigurationError
from kruise_autopatch.patches import route as routing
from kruise_autopatch.patches.route import Explicit, NativeRoute, Route
from kruise_autopatch.settings import Settings

if TYPE_CHECKING:
    from kruise_autopatch.patches.route import AnyRoute

HTTP = Settings(https=False)
NATIVE = Settings(protocol="native", native_domains=("left.test",))
TWO_HOSTS = Settings(sandbox_domain="gateway.test", native_domains=("left.test",))


def test_a_domain_is_enough() -> None:
    route = routing.choose(HTTP, Explicit(domain="example.com"))
    assert isinstance(route, Route)
    assert route == Route("http", "example.com")
    assert route.api_url == "http://example.com/kruise/api"
    assert route.sandbox_url("s1", "localhost", 80) == "http://example.com/kruise/s1/80"


@pytest.mark.parametrize("domain", [None, "example.com", "https://bad"])
def test_debug_mode_is_native(domain: str | None) -> None:
    assert routing.choose(HTTP, Explicit(domain=domain, debug=True)) is None


@pytest.mark.parametrize("domain", ["e2b.app", "e2b.dev", "foxtrot-2.e2b.dev"])
def test_e2bs_own_domains_are_native(domain: str) -> None:
    assert routing.choose(HTTP, Explicit(domain=domain)) is None


def test_no_domain_is_an_error_that_says_to_set_it() -> None:
    with pytest.raises(ConfigurationError, match="Set E2B_DOMAIN"):
        routing.choose(HTTP, Explicit())


@pytest.mark.parametrize(
    "given", [Explicit(api_url="https://x"), Explicit(sandbox_url="https://x")]
)
def test_one_explicit_url_does_not_replace_the_domain(given: Explicit) -> None:
    with pytest.raises(ConfigurationError, match="Set E2B_DOMAIN"):
        routing.choose(HTTP, given)


def test_without_a_domain_two_explicit_urls_do_until_a_host_is_asked_for() -> None:
    route = routing.choose(HTTP, Explicit(api_url="https://a", sandbox_url="https://b"))
    assert isinstance(route, Route)
    with pytest.raises(ConfigurationError, match="Set E2B_DOMAIN"):
        route.sandbox_host("s1", "e2b.app", 80)


def test_a_private_api_url_stands_for_its_domain() -> None:
    explicit = Explicit(api_url="https://example.com:8443/kruise/api")
    assert routing.choose(HTTP, explicit) == Route("https", "example.com:8443")


def test_a_private_api_url_of_the_same_domain_settles_the_scheme() -> None:
    explicit = Explicit(domain="example.com", api_url="https://example.com/kruise/api")
    assert routing.choose(HTTP, explicit) == Route("https", "example.com")


def test_an_api_url_elsewhere_says_nothing_about_the_sandboxes() -> None:
    explicit = Explicit(domain="example.com", api_url="https://other.example.com/kruise/api")
    assert routing.choose(HTTP, explicit) == Route("http", "example.com")


@pytest.mark.parametrize("source", ["E2B_DOMAIN", "domain"])
def test_a_malformed_domain_is_named_as_the_user_gave_it(source: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{source}='https://example.com' has a scheme"):
        routing.choose(HTTP, Explicit(domain="https://example.com", domain_source=source))


@pytest.mark.parametrize(
    ("sandbox_domain", "server_says", "used"),
    [
        (None, "localhost", "example.com"),
        ("gateway.example.com:80", "localhost", "gateway.example.com:80"),
        ("server", "data.example.com", "data.example.com"),
        ("server", None, "example.com"),
        ("server", "", "example.com"),
    ],
)
def test_the_host_for_sandbox_traffic(
    sandbox_domain: str | None, server_says: str | None, used: str
) -> None:
    settings = Settings(sandbox_domain=sandbox_domain)
    route = routing.choose(settings, Explicit(domain="example.com"))
    assert isinstance(route, Route)
    assert route.sandbox_authority(server_says) == used


@pytest.mark.parametrize(("reply", "reason"), [("e2b.app", "public cloud"), ("a/b", "a path")])
def test_a_server_that_names_an_unusable_domain_is_not_followed(reply: str, reason: str) -> None:
    route = routing.choose(Settings(sandbox_domain="server"), Explicit(domain="example.com"))
    assert isinstance(route, Route)
    with pytest.raises(ConfigurationError, match=f"reply domain='{reply}'.*{reason}"):
        route.sandbox_authority(reply)


@pytest.mark.parametrize(
    ("api_url", "scheme"),
    [
        ("https://example.com:443/kruise/api", "https"),
        ("https://user@EXAMPLE.com/kruise/api", "https"),
        ("https://other.example.com/kruise/api", "http"),
        ("https://a:b:c/kruise/api", "http"),
    ],
)
def test_only_an_api_url_of_this_very_server_settles_the_scheme(api_url: str, scheme: str) -> None:
    explicit = Explicit(domain="example.com", api_url=api_url)
    assert routing.choose(HTTP, explicit) == Route(scheme, "example.com")


@pytest.mark.parametrize(
    "explicit",
    [
        Explicit(domain="api.test"),
        Explicit(api_url="https://api.test/kruise/api"),
        Explicit(api_url="https://x", sandbox_url="https://y"),
    ],
)
def test_every_route_knows_the_host_for_sandbox_traffic(explicit: Explicit) -> None:
    route = routing.choose(TWO_HOSTS, explicit)
    assert isinstance(route, Route)
    assert (route.scheme, route.sandbox_domain) == ("https", "gateway.test")
    assert route.sandbox_url("s1", None, 80) == "https://gateway.test/kruise/s1/80"


def test_a_host_of_the_server_is_in_the_urls_of_its_sandboxes() -> None:
    route = Route("http", "api.test", "server")
    assert route.sandbox_url("s1", "data.test", 80) == "http://data.test/kruise/s1/80"
    assert route.api_url == "http://api.test/kruise/api"


def test_two_explicit_urls_need_no_domain() -> None:
    route = routing.choose(HTTP, Explicit(api_url="https://a", sandbox_url="https://b"))
    assert route == Route("http", None)
    route = routing.choose(TWO_HOSTS, Explicit(api_url="https://a", sandbox_url="https://b"))
    assert route == Route("https", None, "gateway.test")
    route = routing.choose(HTTP, Explicit(api_url="https://a", sandbox_url="https://b"))
    assert isinstance(route, Route)
    assert route.api_url is None


@pytest.mark.parametrize(
    "explicit",
    [
        Explicit(domain="x.left.test"),
        Explicit(domain="left.test", api_url="https://left.test/kruise/api"),
        Explicit(api_url="https://left.test/kruise/api"),
        Explicit(api_url="https://e2b.app/kruise/api"),
    ],
)
def test_domains_that_the_user_lists_are_native_too(explicit: Explicit) -> None:
    assert routing.choose(TWO_HOSTS, explicit) is None


# --- the native protocol -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("explicit", "asks"),
    [
        (Explicit(domain="a.test"), True),
        (Explicit(domain="a.test", api_url="https://b.test"), True),
        (Explicit(domain="a.test", api_url="https://api.e2b.app"), False),
        (Explicit(domain="a.test", api_url="https://left.test"), False),
        (Explicit(api_url="https://a.test", sandbox_url="https://b.test"), True),
        (Explicit(api_url="https://api.e2b.app", sandbox_url="https://b.test"), False),
    ],
)
def test_with_the_native_protocol_only_openkruises_api_is_asked_for_more(
    explicit: Explicit, asks: bool
) -> None:
    assert routing.choose(NATIVE, explicit) == NativeRoute(asks=asks)


@pytest.mark.parametrize("domain", ["x.left.test", "e2b.app"])
def test_and_the_clients_of_other_clouds_are_left_alone(domain: str) -> None:
    assert routing.choose(NATIVE, Explicit(domain=domain, api_url="https://a.test")) is None


def test_a_malformed_domain_is_refused_with_the_native_protocol_too() -> None:
    with pytest.raises(ConfigurationError, match=r"^domain='https://a' has a scheme"):
        routing.choose(NATIVE, Explicit(domain="https://a", domain_source="domain"))


# --- a domain that is the host for sandbox traffic -----------------------------------------------


def _parts(explicit: Explicit) -> dict[str, object]:
    return {name: getattr(explicit, name) for name in Explicit.__slots__}


@pytest.mark.parametrize("domain", ["gateway.test", "GATEWAY.test:443"])
@pytest.mark.parametrize("api_url", [None, "https://other.test/x"])
def test_of_the_api_it_says_nothing_but_the_variable_does(domain: str, api_url: str | None) -> None:
    explicit = Explicit(
        domain=domain,
        domain_source="domain",
        api_url=api_url,
        api_url_source="api_url",
        sandbox_url="https://b.test",
        otherwise="api.test",
    )
    meant = Explicit(
        domain="api.test",
        domain_source="E2B_DOMAIN",
        api_url=api_url,
        api_url_source="api_url",
        sandbox_url="https://b.test",
    )
    # An API URL of another form says nothing about the sandboxes, which are where they were.
    assert _parts(explicit.about_the_api(TWO_HOSTS)) == _parts(meant)


@pytest.mark.parametrize("otherwise", [None, "", "e2b.app", "x.left.test"])
def test_nor_do_variables_of_other_clouds_but_a_private_api_url_does(
    otherwise: str | None,
) -> None:
    explicit = Explicit(
        domain="gateway.test",
        domain_source="domain",
        api_url="https://api.test/kruise/api",
        otherwise=otherwise,
    )
    meant = Explicit(api_url="https://api.test/kruise/api")
    assert _parts(explicit.about_the_api(TWO_HOSTS)) == _parts(meant)
    explicit.api_url = "https://api.test"
    assert explicit.about_the_api(TWO_HOSTS) is explicit
    explicit.api_url = None
    with pytest.raises(ConfigurationError, match="is the host for sandbox traffic"):
        explicit.about_the_api(TWO_HOSTS)


@pytest.mark.parametrize(
    ("settings", "explicit"),
    [
        (TWO_HOSTS, Explicit(domain="gateway.test", domain_source="domain", debug=True)),
        (TWO_HOSTS, Explicit(domain="gateway.test", domain_source="E2B_DOMAIN")),
        (TWO_HOSTS, Explicit(domain="api.test", domain_source="domain")),
        (TWO_HOSTS, Explicit(domain="gateway.test:80", domain_source="domain")),
        (TWO_HOSTS, Explicit(domain="a:b:c", domain_source="domain")),
        (TWO_HOSTS, Explicit(domain=None, domain_source="domain")),
        (TWO_HOSTS, Explicit(domain="", domain_source="domain")),
        (Settings(), Explicit(domain="gateway.test", domain_source="domain")),
        (
            Settings(sandbox_domain="server"),
            Explicit(domain="server", domain_source="domain"),
        ),
    ],
)
def test_every_other_domain_is_the_apis(settings: Settings, explicit: Explicit) -> None:
    assert explicit.about_the_api(settings) is explicit


def test_what_is_not_said_otherwise_is_said_by_the_variables() -> None:
    explicit = Explicit(domain="a.test", api_url="https://a:b/kruise/api")
    assert (explicit.domain_source, explicit.api_url_source) == ("E2B_DOMAIN", "E2B_API_URL")
    explicit = Explicit(api_url="https://a:b/kruise/api", api_url_source="api_url")
    with pytest.raises(ConfigurationError, match=r"^api_url: its host 'a:b' has the port"):
        routing.choose(HTTP, explicit)


# --- in a few words ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "explicit", "reason"),
    [
        (None, Explicit(domain="a.test", debug=True), "native: debug"),
        (None, Explicit(domain="e2b.app"), "native: E2B_DOMAIN is E2B's own cloud"),
        (
            None,
            Explicit(api_url="https://api.e2b.app/x", api_url_source="api_url"),
            "native: api_url is E2B's own cloud",
        ),
        (
            None,
            Explicit(domain="left.test", domain_source="domain"),
            "native: domain is among KRUISE_E2B_NATIVE_DOMAINS",
        ),
        (None, Explicit(), "native: E2B_API_URL is among KRUISE_E2B_NATIVE_DOMAINS"),
        (Route("https", "a.test"), Explicit(api_url="https://x"), "an api_url was given"),
        (NativeRoute(), Explicit(domain="a.test"), "native protocol: E2B_DOMAIN"),
        (
            Route("https", "a.test"),
            Explicit(domain="a.test", domain_source="domain"),
            "private: domain",
        ),
    ],
)
def test_the_log_says_why(route: AnyRoute, explicit: Explicit, reason: str) -> None:
    assert routing.reason(route, explicit) == reason
