"""Properties of the private protocol, over domains, ids, ports, paths and queries of any kind."""

from __future__ import annotations

from urllib.parse import quote, urljoin, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from kruise_autopatch import protocol
from kruise_autopatch.protocol import written as urls

labels = st.from_regex(r"[a-z0-9](?:[a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
hosts = st.one_of(
    st.lists(labels, min_size=1, max_size=5).map(".".join),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map("[{}]".format),
)
ports = st.integers(1, 65535)
authorities = st.one_of(hosts, st.tuples(hosts, ports).map(lambda pair: f"{pair[0]}:{pair[1]}"))
schemes = st.sampled_from(["http", "https"])
# Opaque: whatever a server may hand out that is one path segment, and not the API's.
sandbox_ids = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._~-]{0,39}", fullmatch=True).filter(
    lambda text: not text.startswith("api")
)
queries = st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=4).map(
    lambda pairs: "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in pairs.items())
)


@given(authorities)
def test_every_authority_is_kept(authority: str) -> None:
    assert protocol.parse_authority(authority) == authority


@given(st.text(max_size=60))
def test_any_text_is_either_an_authority_or_refused(text: str) -> None:
    try:
        authority = protocol.parse_authority(text)
    except protocol.InvalidDomain:
        return
    assert authority == text
    # What is accepted is the whole network location of the URLs that are made of it.
    assert urlsplit(protocol.api_url("http", authority)).netloc == authority


@given(schemes, authorities)
def test_a_control_plane_url_is_read_back(scheme: str, authority: str) -> None:
    url = protocol.api_url(scheme, authority)
    assert protocol.parse_api_url(url) == (scheme, authority)
    assert protocol.parse_api_url(f"{url}/sandboxes") is None


@given(schemes, authorities, sandbox_ids, ports)
def test_a_sandbox_url_has_one_segment_for_each_of_its_parts(
    scheme: str, authority: str, sandbox_id: str, port: int
) -> None:
    parts = urlsplit(protocol.sandbox_url(scheme, authority, sandbox_id, port))
    assert (parts.scheme, parts.netloc) == (scheme, authority)
    assert parts.path.split("/") == ["", "kruise", sandbox_id, str(port)]
    assert not parts.query
    assert not parts.fragment


@given(st.text(max_size=30), ports)
def test_any_id_is_either_one_segment_or_refused(sandbox_id: str, port: int) -> None:
    try:
        host = protocol.sandbox_host("kruise.test", sandbox_id, port)
    except ValueError:
        return
    # As a client resolves dots.
    resolved = urljoin("http://kruise.test", f"{host[len('kruise.test') :]}/")
    assert resolved == f"http://kruise.test/kruise/{sandbox_id}/{port}/"


@given(schemes, authorities, sandbox_ids, queries)
def test_the_prefix_that_urljoin_drops_is_put_back_without_loss(
    scheme: str, authority: str, sandbox_id: str, query: str
) -> None:
    base = protocol.sandbox_url(scheme, authority, quote(sandbox_id), 49983)
    # As SandboxBase._file_url does it.
    dropped = urljoin(urljoin(base, "/files"), f"?{query}")
    whole = protocol.below(base, dropped)
    assert whole == f"{base}/files" + (f"?{query}" if query else "")
    assert protocol.below(base, whole) == whole


@given(schemes, authorities, sandbox_ids, ports, queries)
def test_the_desktop_page_keeps_its_query_and_its_websocket_stays_below_the_port(
    scheme: str, authority: str, sandbox_id: str, port: int, query: str
) -> None:
    base = protocol.sandbox_url(scheme, authority, quote(sandbox_id), port)
    page = f"{base}/vnc.html" + (f"?{query}" if query else "")
    url = protocol.with_websocket_path(page)
    assert url.startswith(page)
    path = urlsplit(url).query.rpartition("path=")[2]
    assert urljoin(page, path) == f"{base}/websockify"
    assert urljoin(f"{scheme}://{authority}/", path) == f"{base}/websockify"


@given(schemes, schemes, authorities)
def test_the_scheme_is_all_that_with_scheme_changes(old: str, new: str, authority: str) -> None:
    url = f"{old}://{authority}/a?next=http://other"
    assert protocol.with_scheme(url, new) == f"{new}://{authority}/a?next=http://other"


# --- URLs that somebody wrote -----------------------------------------------------------------

names = (
    st.lists(labels, min_size=1, max_size=4)
    .map(".".join)
    .filter(lambda name: not name.rpartition(".")[2].isdigit() and not protocol.is_public(name))
)
domains = st.builds(
    "{}{}{}".format, names, st.sampled_from(["", "."]), st.just("") | ports.map(":{}".format)
)
url_schemes = st.sampled_from(["http", "https", "ws", "wss"])
# Spaces and the like only as a URL has them; everything else as it may come.
url_text = st.lists(
    st.text(st.characters(exclude_characters="?#", exclude_categories=("Z", "C")), max_size=6)
    | st.sampled_from(["/", "//", "%2F", "%25", "..", ":", "@", "\\"])
    | st.text(max_size=4).map(quote),
    max_size=5,
).map("".join)
rests = st.builds(
    "{}{}{}".format,
    url_text.map("/{}".format).filter(lambda path: not path.startswith("/kruise")),
    st.just("") | st.builds("?{}".format, url_text | queries),
    st.just("") | st.builds("#{}".format, url_text),
)
host_ids = st.builds(
    "{}{}".format, st.text("abikpz027-_", max_size=40), st.sampled_from("a7_")
).filter(lambda text: not text.startswith(("api", "-")))


@given(url_schemes, authorities, sandbox_ids, ports, st.just("") | rests)
def test_a_private_url_is_read_back_whatever_is_in_it(
    scheme: str, authority: str, sandbox_id: str, port: int, rest: str
) -> None:
    url = protocol.sandbox_url(scheme, authority, sandbox_id, port) + rest
    address = urls.parse_private(url)
    assert tuple(address) == (scheme, authority, sandbox_id, port, rest)
    if not protocol.is_public(authority):
        assert urls.private_url(address) == url


@given(url_schemes, domains, host_ids, ports, st.just("") | rests)
def test_a_sandbox_url_comes_back_from_its_native_form_without_loss(
    scheme: str, domain: str, sandbox_id: str, port: int, rest: str
) -> None:
    private = protocol.sandbox_url(scheme, domain, sandbox_id, port) + rest
    native = urls.native_url(urls.parse_private(private))
    assert native == f"{scheme}://{port}-{sandbox_id}.{domain}{rest}"
    assert urls.parse_native(native) == urls.parse_private(private)
    assert urls.other_form(urls.other_form(private)) == private


@given(url_schemes, domains, st.just("") | rests)
def test_an_api_url_comes_back_from_its_native_form_without_loss(
    scheme: str, domain: str, rest: str
) -> None:
    private = protocol.api_url(scheme, domain) + rest
    native = urls.other_form(private)
    assert native == f"{scheme}://api.{domain}{rest}"
    assert urls.other_form(native) == private


@given(
    st.text(max_size=60)
    | st.builds("https://kruise.test/kruise/{}".format, st.text(max_size=40))
    | st.builds("https://{}.kruise.test{}".format, st.text(max_size=20), st.text(max_size=20))
)
def test_any_text_has_another_form_that_leads_back_or_is_refused(text: str) -> None:
    try:
        other = urls.other_form(text)
    except urls.InvalidUrl:
        return
    assert urls.other_form(urls.other_form(other)) == other
