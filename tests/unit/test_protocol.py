"""The private protocol, as pure functions."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest

from kruise_autopatch import protocol


@pytest.mark.parametrize(
    "text",
    [
        "sandbox.example.com",
        "sandbox-manager.sandbox-system.svc.cluster.local",
        "sandbox-manager.sandbox-system.svc.cluster.local.",
        "localhost",
        "localhost:7788",
        "10.0.0.7:80",
        "[::1]",
        "[::1]:8443",
        "sandbox_manager:65535",
        "Bücher.example",
    ],
)
def test_an_authority_is_kept_as_it_is_written(text: str) -> None:
    assert protocol.parse_authority(text) == text


@pytest.mark.parametrize(
    ("text", "reason", "correction"),
    [
        ("https://sandbox.example.com", "has a scheme", "'sandbox.example.com'"),
        ("http://sandbox.example.com:80/kruise", "has a scheme", "'sandbox.example.com:80'"),
        ("sandbox.example.com/kruise/api", "has a path", "'sandbox.example.com'"),
        ("sandbox.example.com?x", "has a query", "'sandbox.example.com'"),
        ("sandbox.example.com#x", "has a fragment", "'sandbox.example.com'"),
        (" sandbox.example.com", "contains a space", "'sandbox.example.com'"),
        ("sandbox example.com", "contains a space", "'sandboxexample.com'"),
        ("sandbox.example.com\n", "contains a line break", "'sandbox.example.com'"),
        ("user:pw@sandbox.example.com", "has user information", "'sandbox.example.com'"),
        ("sandbox..example.com", "has an empty label", "'sandbox.example.com'"),
        (".example.com", "has an empty label", "'sandbox.example.com'"),
        ("example.com..", "has an empty label", "'sandbox.example.com'"),
        (".", "has an empty label", "'sandbox.example.com'"),
        ("", "has an empty label", "'sandbox.example.com'"),
        (":8080", "has an empty label", "'sandbox.example.com'"),
        ("*.example.com", "has the label '*'", "'sandbox.example.com'"),
        ("-a.example.com", "has the label '-a'", "'sandbox.example.com'"),
        ("'example.com'", "has the label", "'sandbox.example.com'"),
        ("example.com:", "has the port ''", "1 to 65535"),
        ("example.com:0", "has the port '0'", "1 to 65535"),
        ("example.com:65536", "has the port '65536'", "1 to 65535"),
        ("example.com:http", "has the port 'http'", "1 to 65535"),
        ("::1", "more than one colon", "'[::1]'"),
        ("a:b:c", "more than one colon", "'[::1]:8443'"),
        ("[::1", "not an IPv6 address", "'[::1]:8443'"),
        ("[localhost]:80", "not an IPv6 address", "'[::1]:8443'"),
        ("[::1]8080", "not an IPv6 address", "'[::1]:8443'"),
    ],
)
def test_anything_else_is_refused_with_a_correction(
    text: str, reason: str, correction: str
) -> None:
    with pytest.raises(protocol.InvalidDomain) as refusal:
        protocol.parse_authority(text)
    assert reason in str(refusal.value)
    assert correction in str(refusal.value)


@pytest.mark.parametrize(
    "authority",
    ["e2b.app", "E2B.App", "e2b.dev:443", "foxtrot-2.e2b.dev", "api.e2b.app.", "e2b-tango.dev"],
)
def test_e2bs_own_domains_are_public(authority: str) -> None:
    assert protocol.is_public(authority)


@pytest.mark.parametrize(
    "authority", ["note2b.app", "e2b.app.example.com", "e2b.example.com", "[::1]:80", "localhost"]
)
def test_other_domains_are_not_public(authority: str) -> None:
    assert not protocol.is_public(authority)


def test_a_control_plane_url_is_read_back() -> None:
    url = protocol.api_url("http", "[::1]:80")
    assert url == "http://[::1]:80/kruise/api"
    assert protocol.parse_api_url(url) == ("http", "[::1]:80")
    assert protocol.parse_api_url(f"{url}/") == ("http", "[::1]:80")


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com",
        "https://example.com/kruise/api/v2",
        "https://example.com/kruise",
        "example.com/kruise/api",
    ],
)
def test_other_urls_are_not_of_the_private_control_plane(url: str) -> None:
    assert protocol.parse_api_url(url) is None


def test_a_sandbox_port_is_a_path_without_a_slash_at_its_end() -> None:
    url = protocol.sandbox_url("https", "example.com:8443", "ns--name", 3000)
    assert url == "https://example.com:8443/kruise/ns--name/3000"


@pytest.mark.parametrize("sandbox_id", ["", "a/b", "a?b", "a#b", "a b"])
def test_an_id_that_would_change_the_path_is_refused(sandbox_id: str) -> None:
    with pytest.raises(ValueError, match="sandbox id"):
        protocol.sandbox_host("example.com", sandbox_id, 80)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_out_of_range_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match="port"):
        protocol.sandbox_host("example.com", "s1", port)


def test_the_prefix_that_urljoin_drops_is_put_back() -> None:
    base = "http://example.com/kruise/s1/49983"
    broken = urljoin(base, "/files") + "?path=%2Fa%20b&signature=v1_x%2F"
    whole = "http://example.com/kruise/s1/49983/files?path=%2Fa%20b&signature=v1_x%2F"
    assert protocol.below(base, broken) == whole
    assert protocol.below(base, whole) == whole


def _websocket(page: str) -> str:
    query = urlsplit(protocol.with_websocket_path(page)).query
    return next(part[len("path=") :] for part in query.split("&") if part.startswith("path="))


def test_a_novnc_that_resolves_its_path_against_the_page_stays_below_the_port() -> None:
    page = "https://example.com/kruise/s1/6080/vnc.html?autoconnect=true"
    assert urljoin(page, _websocket(page)) == "https://example.com/kruise/s1/6080/websockify"


def test_a_novnc_that_appends_its_path_to_the_host_stays_below_the_port() -> None:
    page = "https://example.com/kruise/s1/6080/vnc.html"
    appended = urljoin("https://example.com/", _websocket(page))
    assert appended == "https://example.com/kruise/s1/6080/websockify"


def test_v2_create_becomes_v1() -> None:
    request = {"method": "post", "url": "/v2/sandboxes", "json": {"templateID": "base"}}
    assert protocol.v1_request(request) == {**request, "url": "/sandboxes"}


@pytest.mark.parametrize(("body", "timeout"), [({}, 300), ({"timeout": 60}, 60)])
def test_v2_connect_becomes_v1_with_a_timeout(body: dict[str, int], timeout: int) -> None:
    moved = protocol.v1_request({"url": "/v2/sandboxes/s1/connect", "json": body})
    assert moved == {"url": "/sandboxes/s1/connect", "json": {"timeout": timeout}}


def test_other_requests_are_left_alone() -> None:
    request = {"url": "/sandboxes/s1/connect", "json": {}}
    assert protocol.v1_request(request) is request
