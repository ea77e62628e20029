"""The doctor on the network, over real sockets on loopback."""

from __future__ import annotations

import datetime
import json
import socket
import ssl
import urllib.request
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
import trustme

from cli.answering import Answering, Proxy, Reply, raw
from cli.doctoring import DOCTOR, examine_here
from kruise_autopatch_local import LocalManager
from support import fresh, loopback_tls, native

KEY = "a-key-that-is-secret"
HTTP = {"KRUISE_E2B_PATCH": "1", "KRUISE_E2B_HTTPS": "0", "E2B_API_KEY": KEY}
HTTPS = {**HTTP, "KRUISE_E2B_HTTPS": "1"}
INVALID_KEY = json.dumps({"code": 401, "headers": None, "message": "Invalid API Key"})
PAGE = "<html><head><title>404 Not Found</title></head><body>nginx</body></html>"
HTML = (("Content-Type", "text/html"),)


@pytest.fixture(scope="module")
def manager() -> Iterator[LocalManager]:
    with LocalManager() as manager:
        yield manager


def test_all_is_well(manager: LocalManager) -> None:
    report = examine_here(manager.environment())
    assert report.status == 0, report.text
    assert [report.state(check) for check in ("dns", "tcp", "api")] == ["ok"] * 3
    assert "200, the server accepts the key; no sandbox is listed" in report.line("api")
    assert "tls" not in report.findings


def test_a_wrong_key(manager: LocalManager) -> None:
    report = examine_here({**manager.environment(), "E2B_API_KEY": KEY})
    assert report.state("api") == "problem"
    assert '401, "Invalid API Key": the server does not know the key' in report.line("api")
    assert "compare E2B_API_KEY" in report.line("api")


def test_no_key(manager: LocalManager) -> None:
    variables = manager.environment()
    del variables["E2B_API_KEY"]
    report = examine_here(variables)
    assert report.state("api") == "note"
    assert "the server wants a key, and none is set" in report.line("api")
    assert report.status == 1


@pytest.mark.parametrize("protocol", ["private", "native"])
def test_nothing_is_sent_to_who_is_left_native(manager: LocalManager, protocol: str) -> None:
    before = len(manager.requests())
    https = {"KRUISE_E2B_HTTPS": "1", "KRUISE_E2B_PROTOCOL": protocol}
    listed = {"KRUISE_E2B_NATIVE_DOMAINS": f"other.test,{manager.domain}"}
    report = examine_here({**manager.environment(), **https, **listed})
    assert (report.state("network"), report.findings["network"]["code"]) == (
        "note",
        "network-left-native",
    )
    url = f"https://api.{manager.domain}"
    expected = f"the network is left out: {url} is among KRUISE_E2B_NATIVE_DOMAINS"
    assert expected in report.line("network")
    assert not {"dns", "tcp", "api"} & report.findings.keys()
    assert len(manager.requests()) == before


def test_offline_sends_nothing(manager: LocalManager) -> None:
    before = len(manager.requests())
    report = examine_here(manager.environment(), "--offline")
    assert {"dns", "tcp", "api"}.isdisjoint(report.findings)
    assert len(manager.requests()) == before


def test_an_address_where_nothing_listens() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        domain = f"127.0.0.1:{reserved.getsockname()[1]}"
        report = examine_here({**HTTP, "E2B_DOMAIN": domain})
    assert report.state("tcp") == "problem"
    assert f"{domain} refuses connections" in report.line("tcp")
    assert "api" not in report.findings


def test_a_name_that_does_not_exist() -> None:
    # Too long for any DNS, so nobody is asked.
    report = examine_here({**HTTP, "E2B_DOMAIN": f"{'x' * 70}.test"})
    assert report.state("dns") == "problem"
    assert "is not known here" in report.line("dns")
    assert "SERVICE.NAMESPACE.svc.cluster.local" in report.line("dns")
    assert "tcp" not in report.findings


@pytest.mark.parametrize("base", [HTTP, HTTPS], ids=["http", "https"])
def test_a_server_that_never_answers(base: dict[str, str]) -> None:
    with raw(None) as domain:
        report = examine_here({**base, "E2B_DOMAIN": domain}, "--timeout=0.5")
    assert report.status == 1
    last = list(report.findings)[-1]
    assert "within 0.5 s" in report.line(last) or "timed out" in report.line(last)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 200 OK\r\n"])
def test_a_server_that_speaks_something_else(answer: bytes) -> None:
    with raw(answer) as domain:
        report = examine_here({**HTTP, "E2B_DOMAIN": domain}, "--timeout=5")
    assert report.state("api") == "problem"


ANSWERS = [
    (Reply(200, "<!DOCTYPE html><title>It works!</title>", HTML), "a web page, so not sandbox"),
    (Reply(200, "{}"), "no list of sandboxes"),
    (Reply(200, "OK"), "no list of sandboxes"),
    (Reply(401, INVALID_KEY), "the server does not know the key"),
    (Reply(401, "<html>Log in</html>", HTML), "from something before it"),
    (Reply(403, "RBAC: access denied"), "from something before it"),
    (Reply(404, PAGE, (*HTML, ("Server", "nginx"))), "a web page"),
    (Reply(404, PAGE, (*HTML, ("Server", "nginx"))), "Server: nginx".lower()),
    (Reply(404, "404 page not found\n"), "nothing is served at this path"),
    (Reply(404, "default backend - 404"), "let the Ingress or proxy pass /kruise on"),
    (Reply(405, "Method Not Allowed\n"), "not for GET"),
    (Reply(407, "", (("Via", "1.1 squid"),)), "the proxy wants credentials"),
    (Reply(407, "", (("Via", "1.1 squid"),)), "via: 1.1 squid"),
    (Reply(302, "", (("Location", "/login"),)), "a redirect to /login"),
    (Reply(308, "", (("Location", "https://127.0.0.1/"),)), "KRUISE_E2B_HTTPS=1"),
    (Reply(400, "The plain HTTP request was sent to HTTPS port"), "KRUISE_E2B_HTTPS=1"),
    (Reply(400, "Client sent an HTTP request to an HTTPS server.\n"), "KRUISE_E2B_HTTPS=1"),
    (Reply(502, "bad gateway"), "no healthy sandbox-manager"),
    (Reply(503, PAGE.replace("404 Not Found", "503")), "no healthy sandbox-manager"),
    (Reply(500, "oops"), "unexpected"),
]


@pytest.mark.parametrize(("reply", "text"), ANSWERS, ids=[f"{r.status} {t}" for r, t in ANSWERS])
def test_what_an_answer_means(reply: Reply, text: str) -> None:
    with Answering(lambda path: reply) as server:
        report = examine_here({**HTTP, "E2B_DOMAIN": server.domain})
    assert report.state("api") == "problem"
    assert text in report.line("api")
    assert report.findings["api"]["next"]
    path, headers = server.requests[0]
    assert (path, headers["X-API-KEY"]) == ("/kruise/api/v2/sandboxes?limit=1", KEY)


@pytest.mark.parametrize("native", [Reply(200, "[]"), Reply(401, INVALID_KEY)])
def test_a_server_that_has_the_native_routes_only(native: Reply) -> None:
    def reply(path: str) -> Reply:
        return Reply(404, "404 page not found\n") if path.startswith("/kruise") else native

    with Answering(reply) as server:
        report = examine_here({**HTTP, "E2B_DOMAIN": server.domain})
    assert report.state("api") == "problem"
    assert "the native routes only, not /kruise/api" in report.line("api")
    assert "upgrade OpenKruise Agents" in report.line("api")


def test_a_key_that_a_server_repeats_is_not_printed() -> None:
    reply = Reply(403, f"no such key: {KEY}\x1b[31m", (("Server", KEY),))
    with Answering(lambda path: reply) as server:
        variables = {**HTTP, "E2B_DOMAIN": server.domain}
        for form in ([], ["--json"]):
            done = fresh.run([*DOCTOR, *form], variables)
            assert "<E2B_API_KEY>" in done.stdout
            assert KEY not in done.stdout + done.stderr
            assert "\x1b" not in done.stdout


@pytest.mark.parametrize("html", ["", "<html>"])
def test_a_key_that_a_server_repeats_is_not_printed_in_part(html: str) -> None:
    # Only the beginning of an answer is shown.
    reply = Reply(403, f"{html}{'x' * 88} {KEY}")
    with Answering(lambda path: reply) as server:
        report = examine_here({**HTTP, "E2B_DOMAIN": server.domain})
    assert "x" * 88 in report.text
    assert KEY[:4] not in report.text


def test_where_a_redirect_leads_is_shown_without_its_query() -> None:
    reply = Reply(302, "", (("Location", "https://login.test/?state=secret-state"),))
    with Answering(lambda path: reply) as server:
        report = examine_here({**HTTP, "E2B_DOMAIN": server.domain})
    assert "https://login.test/?state=<hidden>" in report.line("api")
    assert "secret-state" not in report.text


def test_a_key_that_is_still_in_base64() -> None:
    with Answering(lambda path: Reply(401, INVALID_KEY)) as server:
        variables = {**HTTP, "E2B_DOMAIN": server.domain, "E2B_API_KEY": "c29tZS1hcGkta2V5Cg=="}
        report = examine_here(variables)
    assert "decode it: it looks like base64" in report.line("api")


def test_a_key_that_no_request_can_carry_is_not_sent() -> None:
    with Answering(lambda path: Reply(200, "[]")) as server:
        variables = {**HTTP, "E2B_DOMAIN": server.domain, "E2B_API_KEY": f"{KEY}\nmore-of-it"}
        report = examine_here(variables)
    assert report.state("api") == "note"
    assert KEY not in report.text
    assert server.requests == []


def test_the_domain_of_the_servers_reply() -> None:
    with LocalManager(e2b_domain="static.test") as manager:
        variables = manager.environment()
        create = urllib.request.Request(
            f"{manager.url}/kruise/api/sandboxes",
            data=json.dumps({"templateID": "base", "timeout": 60}).encode(),
            headers={"X-API-KEY": manager.api_key, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(create):
            pass
        report = examine_here(variables)
        decided = examine_here({**variables, "KRUISE_E2B_SANDBOX_DOMAIN": manager.domain})
    assert report.state("reply-domain") == "note"
    assert f"names the domain static.test, the client {manager.domain}" in report.line(
        "reply-domain"
    )
    assert "KRUISE_E2B_SANDBOX_DOMAIN=server" in report.line("reply-domain")
    assert report.status == 0
    assert "KRUISE_E2B_SANDBOX_DOMAIN decides" in decided.line("reply-domain")


def test_native_urls_are_asked_and_judged_as_such() -> None:
    with native.serving(e2b_domain="static.localhost") as server:
        variables = {
            **server.variables,
            "KRUISE_E2B_PATCH": "1",
            "KRUISE_E2B_PROTOCOL": "native",
            "HTTPS_PROXY": server.variables["KRUISE_TEST_PROXY"],
        }
        create = urllib.request.Request(
            f"https://{server.manager.domain}/sandboxes",
            data=json.dumps({"templateID": "base", "timeout": 60}).encode(),
            headers={
                "X-API-KEY": server.manager.api_key,
                "Content-Type": "application/json",
                "Host": f"api.{server.domain}",
            },
        )
        anybody = ssl.create_default_context(cafile=variables["SSL_CERT_FILE"])
        anybody.check_hostname = False
        with urllib.request.urlopen(create, context=anybody):
            pass
        report = examine_here(variables)
        paths = [request["path"] for request in server.requests()]
    assert report.status == 0, report.text
    for surface, start in (("api", "https://api."), ("sandbox", "https://49983-SANDBOX.")):
        assert f"{start}{server.domain}, the SDK's own" in report.line(f"url:{surface}")
    assert "the server accepts the key" in report.line("api")
    assert report.state("reply-domain") == "note"
    assert f"names the domain static.localhost, the client {server.domain}" in report.line(
        "reply-domain"
    )
    assert "handed on by sandbox-manager" in report.line("sandboxes")
    assert "/kruise/kruise-autopatch-doctor/49983/health" in paths
    assert all(path.startswith("/kruise/") for path in paths)


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"KRUISE_E2B_HTTPS": "0"}, "chooses http, but native URLs are https"),
        ({"KRUISE_E2B_SANDBOX_DOMAIN": "a.test"}, "KRUISE_E2B_SANDBOX_DOMAIN='a.test' chooses"),
    ],
)
def test_what_contradicts_native_urls_is_a_problem(variables: dict[str, str], problem: str) -> None:
    asked = {**HTTPS, "E2B_DOMAIN": "kruise.test", "KRUISE_E2B_PROTOCOL": "native", **variables}
    report = examine_here(asked, "--offline")
    assert problem in report.line("variable:KRUISE_E2B_PROTOCOL")
    assert report.state("variable:KRUISE_E2B_PROTOCOL") == "problem"


def test_debug_mode_is_no_native_protocol() -> None:
    asked = {**HTTPS, "KRUISE_E2B_PROTOCOL": "native", "E2B_DOMAIN": "kruise.test"}
    report = examine_here({**asked, "E2B_DEBUG": "true"}, "--offline")
    assert report.state("url:api") == "note"
    assert "the same as natively" in report.line("url:api")


def test_a_native_server_is_not_looked_for_below_kruise() -> None:
    with Answering(lambda path: Reply(404, "nothing")) as server:
        url = f"http://{server.domain}"
        explicit = {"E2B_API_URL": url, "E2B_SANDBOX_URL": url, "E2B_DOMAIN": "kruise.test"}
        report = examine_here({**HTTPS, **explicit, "KRUISE_E2B_PROTOCOL": "native"})
    assert "nothing is served at this path let the Ingress" in report.line("api")
    assert "pass api.DOMAIN and *.DOMAIN on to sandbox-manager" in report.line("api")
    assert [path for path, _ in server.requests] == ["/v2/sandboxes?limit=1"]


def test_sandboxes_on_another_host_are_looked_at_too(manager: LocalManager) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        gateway = f"127.0.0.1:{reserved.getsockname()[1]}"
        variables = {**manager.environment(), "KRUISE_E2B_SANDBOX_DOMAIN": gateway}
        done = fresh.run(DOCTOR, variables)
    assert "the server accepts the key" in done.stdout
    assert f"problem  {gateway} refuses connections" in done.stdout


# --- TLS -----------------------------------------------------------------------------------------


def _served(leaf: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    return context


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA(organization_name="The Tests")


@pytest.fixture(scope="module")
def bundle(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def test_a_manager_with_a_certificate(certificates: dict[str, str]) -> None:
    with LocalManager(**loopback_tls.https(certificates)) as manager:
        variables = {**manager.environment(), "SSL_CERT_FILE": certificates["authority"]}
        report = examine_here(variables)
        plain = examine_here({**variables, "KRUISE_E2B_HTTPS": "0"})
    assert report.status == 0, report.text
    assert "trusted (for localhost, 127.0.0.1, by trustme" in report.line("tls")
    assert "until" in report.line("tls")
    assert "speaks https, not http set KRUISE_E2B_HTTPS=1" in plain.line("api")


def test_https_to_a_port_that_speaks_http(manager: LocalManager) -> None:
    report = examine_here({**manager.environment(), "KRUISE_E2B_HTTPS": "1"})
    assert report.state("tls") == "problem"
    assert "speaks http, not https set KRUISE_E2B_HTTPS=0" in report.line("tls")


def test_a_certificate_that_is_not_trusted(authority: trustme.CA) -> None:
    tls = _served(authority.issue_cert("127.0.0.1"))
    with Answering(lambda path: Reply(200, "[]"), tls) as server:
        variables = {**HTTPS, "E2B_DOMAIN": server.domain, "REQUESTS_CA_BUNDLE": "/etc/ca.pem"}
        report = examine_here(variables)
    assert report.state("tls") == "problem"
    assert "for 127.0.0.1, by The Tests" in report.line("tls")
    assert "set SSL_CERT_FILE" in report.line("tls")
    assert "the SDK does not read REQUESTS_CA_BUNDLE" in report.line("tls")
    # The key must not have been sent to it.
    assert server.requests == []


def test_a_certificate_for_another_name(authority: trustme.CA, bundle: str) -> None:
    tls = _served(authority.issue_cert("kruise.test"))
    with Answering(lambda path: Reply(200, "[]"), tls) as server:
        report = examine_here({**HTTPS, "E2B_DOMAIN": server.domain, "SSL_CERT_FILE": bundle})
    assert report.state("tls") == "problem"
    assert "for kruise.test" in report.line("tls")
    assert "set E2B_DOMAIN to a name in the certificate" in report.line("tls")


@pytest.mark.parametrize(
    ("days", "state", "text"), [(-1, "problem", "renew the certificate"), (3, "note", "renew it")]
)
def test_a_certificate_that_ends(
    days: int, state: str, text: str, authority: trustme.CA, bundle: str
) -> None:
    now = datetime.datetime.now(datetime.timezone.utc)
    leaf = authority.issue_cert(
        "127.0.0.1",
        not_before=now - datetime.timedelta(days=30),
        not_after=now + datetime.timedelta(days=days),
    )
    with Answering(lambda path: Reply(200, "[]"), _served(leaf)) as server:
        report = examine_here({**HTTPS, "E2B_DOMAIN": server.domain, "SSL_CERT_FILE": bundle})
    assert report.state("tls") == state
    assert text in report.line("tls")


def test_a_bundle_that_does_not_exist(authority: trustme.CA, tmp_path: Path) -> None:
    tls = _served(authority.issue_cert("127.0.0.1"))
    missing = str(tmp_path / "missing.pem")
    with Answering(lambda path: Reply(200, "[]"), tls) as server:
        report = examine_here({**HTTPS, "E2B_DOMAIN": server.domain, "SSL_CERT_FILE": missing})
    assert f"SSL_CERT_FILE={missing}: there is no such file" in report.line("tls")


# --- proxies ---------------------------------------------------------------------------------


uses_proxies = pytest.mark.skipif(
    tuple(map(int, version("e2b").split(".")[:2])) < (2, 38), reason="this SDK uses no proxy"
)


@uses_proxies
def test_a_proxy_between(manager: LocalManager) -> None:
    with Answering(lambda path: Reply(502, "unknown host")) as proxy:
        variables = {
            **manager.environment(),
            "HTTP_PROXY": f"http://someone:password@{proxy.domain}",
        }
        report = examine_here(variables)
        bypassed = examine_here({**variables, "NO_PROXY": "127.0.0.1"})
    assert report.state("proxy") == "note"
    assert "add 127.0.0.1 to NO_PROXY" in report.line("proxy")
    assert "password" not in report.text
    assert "502" in report.line("api")
    ((path, headers),) = proxy.requests
    assert path == f"{manager.url}/kruise/api/v2/sandboxes?limit=1"
    assert headers["Proxy-Authorization"].startswith("Basic ")
    assert bypassed.status == 0


@uses_proxies
def test_the_certificate_behind_a_proxy(certificates: dict[str, str]) -> None:
    with LocalManager(**loopback_tls.https(certificates)) as manager, Proxy() as proxy:
        variables = {**manager.environment(), "HTTPS_PROXY": f"http://{proxy.domain}"}
        trusted = examine_here({**variables, "SSL_CERT_FILE": certificates["authority"]})
        refused = examine_here(variables)
    assert trusted.status == 0, trusted.text
    assert "trusted (for localhost, 127.0.0.1, by trustme" in trusted.line("tls")
    assert manager.domain in proxy.tunnels
    assert refused.state("tls") == "problem"
    assert "it may be the proxy's own" in refused.line("tls")
    assert "set SSL_CERT_FILE" in refused.line("tls")
    assert "api" not in refused.findings


@uses_proxies
def test_a_proxy_that_opens_no_tunnel() -> None:
    # It knows GET only.
    with Answering(lambda path: Reply(200)) as proxy:
        report = examine_here(
            {**HTTPS, "E2B_DOMAIN": "kruise.test", "HTTPS_PROXY": f"http://{proxy.domain}"}
        )
    assert report.state("api") == "problem"
    assert "the proxy does not open the way to kruise.test:443" in report.line("api")


@pytest.mark.parametrize("text", ["0", "-1", "soon", "601"])
def test_a_time_limit_that_is_none(text: str) -> None:
    done = fresh.run([*DOCTOR, f"--timeout={text}"])
    assert done.returncode == 2
    assert "is not a number of seconds from 0 to 600" in done.stderr
