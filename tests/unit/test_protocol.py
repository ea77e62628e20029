"""The private protocol, as pure functions."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest

from kruise_autopatch import protocol
from kruise_autopatch.protocol import headers
from kruise_autopatch.protocol import written as urls


@pytest.mark.parametrize(
    "text",
    [
        "sandbox.example.com",
        "sandbox-manager.sandbox-system.svc.cluster.local",
        "sandbox-manager.sandbox-system.svc.cluster.local.",
        "localhost",
        "localhost:7788",
        "localhost:1",
        "10.0.0.7:80",
        "[::1]",
        "[::1]:8443",
        "sandbox_manager:65535",
        "Bücher.example",
        "Xa.exampleX",
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
        ("'example.com'", "has quotation marks around it", "'example.com'"),
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


@pytest.mark.parametrize(
    ("authority", "domains", "among"),
    [
        ("a.test", ("b.test", "a.test"), True),
        ("x.a.test", ("a.test",), True),
        ("A.test.", ("a.TEST",), True),
        ("a.test", ("a.test.",), True),
        ("xa.test", ("a.test",), False),
        ("a.test", ("x.a.test",), False),
        ("a.test", (), False),
        ("straße.test", ("strasse.test",), False),
        # One without a port is of every port.
        ("a.test:80", ("a.test",), True),
        ("a.test:80", ("a.test:80",), True),
        ("x.a.test:80", ("a.test:80",), True),
        ("a.test:80", ("a.test:81",), False),
        ("a.test", ("a.test:80",), False),
        ("[::1]:80", ("[::1]",), True),
        ("[::1]", ("[::1]:80",), False),
    ],
)
def test_an_authority_is_among_domains_and_below_them(
    authority: str, domains: tuple[str, ...], among: bool
) -> None:
    assert protocol.is_among(authority, domains) is among


@pytest.mark.parametrize(
    ("scheme", "first", "second"),
    [
        ("http", "a.test", "a.test"),
        # As it is, if it is the same to the letter: whether it is an authority is asked elsewhere.
        ("http", "a:b:c", "a:b:c"),
        ("http", "a.test", "A.Test"),
        ("http", "a.test", "a.test:80"),
        ("https", "a.test", "a.test:443"),
        ("https", "a.test.", "a.test"),
        ("https", "a.test.:443", "a.test"),
        ("http", "a.test:8080", "a.test:08080"),
        ("http", "[::1]", "[0:0::0:1]:80"),
        ("http", "[2001:DB8::a]", "[2001:db8:0::a]"),
    ],
)
def test_a_server_is_the_same_however_it_is_spelled(scheme: str, first: str, second: str) -> None:
    assert protocol.same(scheme, first, second)
    assert protocol.same(scheme, second, first)


@pytest.mark.parametrize(
    ("scheme", "first", "second"),
    [
        ("http", "a.test", "b.test"),
        ("http", "a.test", "a.test:443"),
        ("https", "a.test", "a.test:80"),
        ("http", "a.test:81", "a.test:82"),
        ("http", ".a.test", "a.test"),
        ("http", "a.testX", "a.test"),
        ("http", "[::1]", "[::2]"),
        ("http", "[1::1]", "[::1]"),
        ("http", "[::11]", "[::12]"),
        ("http", "[::1]", "localhost"),
        ("http", "straße.test", "strasse.test"),
    ],
)
def test_other_servers_are_not_the_same(scheme: str, first: str, second: str) -> None:
    assert not protocol.same(scheme, first, second)
    assert not protocol.same(scheme, second, first)


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://a.test/x", "a.test"),
        ("https://a.test:80/x@y", "a.test:80"),
        ("https://user:p@ss@a.test:80", "a.test:80"),
        ("a.test/x", ""),
        ("https://[::1/x", ""),
    ],
)
def test_the_authority_of_a_url(url: str, authority: str) -> None:
    assert protocol.authority_of(url) == authority


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a.test", "a.test"),
        ("https://a.test/x", "https://a.test/x"),
        ("user:p@ss@a.test", "<user>@a.test"),
        ("https://user:p@ss@a.test/x", "https://<user>@a.test/x"),
        # A scheme that was written twice is no place for a password either.
        ("https://http://user:p@a.test", "https://http://<user>@a.test"),
        ("https://a.test/?key=a?b", "https://a.test/?<hidden>"),
        ("https://user@a.test?key=a", "https://<user>@a.test?<hidden>"),
    ],
)
def test_a_message_shows_no_password_and_no_query(text: str, shown: str) -> None:
    assert protocol.without_secrets(text) == shown


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
        "https://example.com/kruise/apiX",
        "https://example.com/x/kruise/api",
        "ftp://example.com/kruise/api",
        "https://[::1/kruise/api",
        "example.com/kruise/api",
    ],
)
def test_other_urls_are_not_of_the_private_control_plane(url: str) -> None:
    assert protocol.parse_api_url(url) is None


def test_a_sandbox_port_is_a_path_without_a_slash_at_its_end() -> None:
    url = protocol.sandbox_url("https", "example.com:8443", "ns--name", 3000)
    assert url == "https://example.com:8443/kruise/ns--name/3000"


@pytest.mark.parametrize("sandbox_id", ["_", "_s1", "0", "S.1~-"])
def test_an_id_begins_with_a_letter_a_digit_or_an_underscore(sandbox_id: str) -> None:
    host = protocol.sandbox_host("example.com", sandbox_id, 80)
    assert host == f"example.com/kruise/{sandbox_id}/80"


@pytest.mark.parametrize("sandbox_id", ["", ".", "..", "a/b", "a\\b", "a?b", "a#b", "a b", "a\0"])
def test_an_id_that_would_change_the_path_is_refused(sandbox_id: str) -> None:
    with pytest.raises(ValueError, match="sandbox id"):
        protocol.sandbox_host("example.com", sandbox_id, 80)


@pytest.mark.parametrize("sandbox_id", ["api", "api-team--web", "apiabc234567"])
def test_an_id_that_the_server_takes_for_its_api_is_refused(sandbox_id: str) -> None:
    with pytest.raises(ValueError, match="begins with 'api', and the server takes"):
        protocol.sandbox_host("example.com", sandbox_id, 80)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_out_of_range_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match="port"):
        protocol.sandbox_host("example.com", "s1", port)


@pytest.mark.parametrize(
    ("target", "sandbox_port"),
    [
        ("/kruise/ns--s1/49983/files?path=x", "ns--s1/49983"),
        ("/kruise/s1/80/", "s1/80"),
        ("/kruise/s1/80", "s1/80"),
        ("/kruise/s1/80/a/b/c", "s1/80"),
        ("/kruise/s1", None),
        ("/kruise/api/sandboxes", None),
        ("/other/s1/80", None),
        ("/", None),
    ],
)
def test_the_sandbox_and_port_that_a_request_leads_to(
    target: str, sandbox_port: str | None
) -> None:
    assert protocol.sandbox_port(target) == sandbox_port


@pytest.mark.parametrize(
    ("metadata", "protected"),
    [
        ({"security.agents.kruise.io/enable-jwt-auth": "true"}, True),
        ({"security.agents.kruise.io/enable-jwt-auth": "false"}, False),
        ({"security.agents.kruise.io/enable-jwt-auth": True}, False),
        ({"x": "true"}, False),
        ({}, False),
        (None, False),
        (["security.agents.kruise.io/enable-jwt-auth"], False),
    ],
)
def test_a_sandbox_is_protected_if_its_annotation_says_so(
    metadata: object, protected: bool
) -> None:
    assert headers.is_protected(metadata) is protected


def test_the_route_of_a_traffic_token_holds_the_id_as_one_segment() -> None:
    assert headers.traffic_token_route("ns--s1") == "/sandboxes/ns--s1/traffic-access-token"
    assert headers.traffic_token_route("a/b?c") == "/sandboxes/a%2Fb%3Fc/traffic-access-token"


def test_of_a_url_only_its_own_scheme_is_replaced() -> None:
    url = "http://a.test/x?next=http://b.test&then=http://c.test"
    assert protocol.with_scheme(url, "https") == f"https{url[len('http') :]}"


def test_a_pattern_for_people_looks_as_a_url_of_a_sandbox_does() -> None:
    pattern = protocol.sandbox_pattern("https", "a.test")
    assert pattern == "https://a.test/kruise/<sandbox>/<port>/"
    url = protocol.sandbox_url("https", "a.test", "s1", 80)
    assert f"{url}/" == pattern.replace("<sandbox>", "s1").replace("<port>", "80")


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


@pytest.mark.parametrize(
    ("page", "query"),
    [
        ("https://a.test/kruise/s1/6080/vnc.html", ""),
        ("https://a.test/kruise/s1/6080/vnc.html?autoconnect=true", "autoconnect=true&"),
    ],
)
def test_the_path_of_the_websocket_stands_behind_the_query_of_the_page(
    page: str, query: str
) -> None:
    whole = f"{query}path=../../../kruise/s1/6080/websockify"
    assert urlsplit(protocol.with_websocket_path(page)).query == whole


def test_a_novnc_that_appends_its_path_to_the_host_stays_below_the_port() -> None:
    page = "https://example.com/kruise/s1/6080/vnc.html"
    appended = urljoin("https://example.com/", _websocket(page))
    assert appended == "https://example.com/kruise/s1/6080/websockify"


@pytest.mark.parametrize(
    ("private", "native"),
    [
        ("https://example.com/kruise/api", "https://api.example.com"),
        ("http://a.b:80/kruise/api/v2/sandboxes?limit=1", "http://api.a.b:80/v2/sandboxes?limit=1"),
        ("https://example.com/kruise/ns--x/3000", "https://3000-ns--x.example.com"),
        ("https://example.com./kruise/s1/80/", "https://80-s1.example.com./"),
        ("https://example.com/kruise/s1/80#x", "https://80-s1.example.com#x"),
        ("wss://example.com/kruise/s1/9222/devtools", "wss://9222-s1.example.com/devtools"),
        ("http://localhost:7788/kruise/s1/80//a%20b", "http://80-s1.localhost:7788//a%20b"),
        ("https://a.b/kruise/s1/1/", "https://1-s1.a.b/"),
        ("https://a.1X/kruise/api", "https://api.a.1X"),
        ("https://a.b/kruise/s1/65535/?x#y?z", "https://65535-s1.a.b/?x#y?z"),
        # The longest label that DNS has.
        (f"https://a.b/kruise/{'s' * 60}/80/", f"https://80-{'s' * 60}.a.b/"),
    ],
)
def test_a_url_has_a_private_and_a_native_form(private: str, native: str) -> None:
    assert urls.other_form(private) == native
    assert urls.other_form(native) == private


def test_a_query_gets_the_slash_that_the_server_wants() -> None:
    assert urls.other_form("https://80-s1.a.b?x=1") == "https://a.b/kruise/s1/80/?x=1"


def test_a_path_that_the_server_takes_for_its_own_is_not_native() -> None:
    with pytest.raises(urls.InvalidUrl, match="a path that begins with /kruise"):
        urls.parse_native("https://80-s1.a.b/kruise/x")


def test_a_host_name_knows_no_case() -> None:
    assert urls.other_form("HTTPS://80-S1.a.b/X") == "https://a.b/kruise/s1/80/X"
    assert urls.other_form("https://API.a.b/X") == "https://a.b/kruise/api/X"


@pytest.mark.parametrize(
    ("url", "https", "other"),
    [
        ("http://a.b/kruise/api", True, "https://api.a.b"),
        ("https://api.a.b", False, "http://a.b/kruise/api"),
        ("ws://a.b/kruise/s1/80/", True, "wss://80-s1.a.b/"),
        ("wss://80-s1.a.b/", False, "ws://a.b/kruise/s1/80/"),
    ],
)
def test_the_scheme_of_the_other_form_can_be_chosen(url: str, https: bool, other: str) -> None:
    assert urls.other_form(url, https=https) == other


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("a.b/x", "is no native URL"),
        ("ftp://a.b/kruise/api", "does not begin with one of http://"),
        ("https://a.b/kruise/s1/80/a b", "has a space"),
        ("https://a.b/kruise/s1/80/\n", "has a space"),
        ("https:///kruise/api", "has the host '', which has an empty label"),
        ("https://u:p@a.b/kruise/api", "has user information"),
        ("https://a.b/kruise", "no path below /kruise/"),
        ("https://a.b/kruisers/s1/80/", "no path below /kruise/"),
        ("https://a.b/kruise/s1", "has '' where"),
        ("https://a.b/kruise/s1/", "has '' where"),
        ("https://a.b/kruise/s1/http/", "has 'http' where"),
        ("https://a.b/kruise/s1/0/", "has '0' where"),
        ("https://a.b/kruise/s1/65536/", "has '65536' where"),
        ("https://a.b/kruise/s1/\u0663/", "where"),
        ("https://a.b/kruise/s1/80?x=1", "a query straight after the port"),
        ("https://a.b/kruise//80/", "sandbox id ''"),
        ("https://a.b/kruise/api-team--x/80/", "begins with 'api'"),
        ("https://80-api-team--x.a.b/", "begins with 'api'"),
        ("https://a.b/kruise/s1/80/kruise/x", "no native form: the server takes /kruise"),
        ("https://a.b/kruise/s.1/80/", "a host name cannot have 's.1' in it"),
        ("https://a.b/kruise/S1/80/", "a host name cannot have 'S1' in it"),
        ("https://a.b/kruise/s%201/80/", "sandbox id 's%201' is none that a server makes"),
        (f"https://a.b/kruise/{'s' * 61}/80/", "end at 63 letters"),
        ("https://10.0.0.7:80/kruise/s1/80/", "10.0.0.7 is an address"),
        ("https://10.0.0.7./kruise/api", "10.0.0.7. is an address"),
        ("https://[::1]/kruise/api", "[::1] is an address"),
        ("https://api.10.0.0.7/x", "10.0.0.7 is an address"),
        ("https://a.b/", "is no native URL"),
        ("https://0-s1.a.b/", "is no native URL"),
        ("https://api/", "is no native URL"),
        ("https://api.e2b.app/sandboxes", "E2B's public cloud"),
    ],
)
def test_what_has_no_other_form_is_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(urls.InvalidUrl) as refusal:
        urls.other_form(url)
    assert reason in str(refusal.value)
