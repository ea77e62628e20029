"""Which way a client goes: what the user set explicitly wins, and nothing is guessed."""

from __future__ import annotations

import pytest

from kruise_autopatch import ConfigurationError
from kruise_autopatch.patches import route as routing
from kruise_autopatch.patches.route import Explicit, Route
from kruise_autopatch.settings import Settings

HTTP = Settings(https=False)


def test_a_domain_is_enough() -> None:
    route = routing.choose(HTTP, Explicit(domain="example.com"))
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
