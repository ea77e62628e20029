"""The doctor agrees with the SDK: which certificates are trusted, and which proxy is used."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cli.answering import Answering, Reply
from cli.doctoring import examine_here
from kruise_autopatch.cli.doctor.proxies import proxy_for
from support import forked, fresh

E2B = tuple(map(int, version("e2b").split(".")[:2]))
ON = {"KRUISE_E2B_PATCH": "1", "E2B_API_KEY": "a-key-that-is-secret"}

# Whether the SDK of this environment gets an answer.
LISTS = """
import os, e2b
try:
    e2b.Sandbox.list().next_items()
    result = "trusted"
except Exception as error:
    result = f"refused: {type(error).__name__} {error}"
import json; print(json.dumps(result), flush=True)
os._exit(0)
"""


class Issuer:
    """Makes certificates for 127.0.0.1 in every way, right or wrong."""

    def __init__(self, name: str, signed_by: Issuer | None = None) -> None:
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        signer = signed_by or self
        self.certificate = signer.sign(self.name, self.key, is_ca=True, names=())

    def sign(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        *,
        is_ca: bool,
        names: tuple[str, ...] = ("127.0.0.1",),
        days: int = 30,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=60))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
        )
        if self.name != name:
            authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
            builder = builder.add_extension(authority, critical=False)
        if names:
            listed = [x509.IPAddress(ipaddress.ip_address(each)) for each in names]
            builder = builder.add_extension(x509.SubjectAlternativeName(listed), critical=False)
        return builder.sign(self.key, hashes.SHA256())


class Served:
    """What a server shows, and what SSL_CERT_FILE holds."""

    def __init__(
        self,
        chain: list[x509.Certificate],
        key: ec.EllipticCurvePrivateKey,
        bundle: list[x509.Certificate],
    ) -> None:
        self.chain, self.key, self.bundle = chain, key, bundle


def _leaf(name: str = "127.0.0.1") -> tuple[x509.Name, ec.EllipticCurvePrivateKey]:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return subject, ec.generate_private_key(ec.SECP256R1())


def ordinary() -> Served:
    root, (name, key) = Issuer("root"), _leaf()
    return Served([root.sign(name, key, is_ca=False)], key, [root.certificate])


def self_signed_ca() -> Served:
    root = Issuer("127.0.0.1")
    made = root.sign(root.name, root.key, is_ca=True)
    return Served([made], root.key, [made])


def self_signed_no_ca() -> Served:
    root = Issuer("127.0.0.1")
    made = root.sign(root.name, root.key, is_ca=False)
    return Served([made], root.key, [made])


def ca_by_another_ca() -> Served:
    root, (name, key) = Issuer("root"), _leaf()
    return Served([root.sign(name, key, is_ca=True)], key, [root.certificate])


def no_alternative_name() -> Served:
    root, (name, key) = Issuer("root"), _leaf()
    return Served([root.sign(name, key, is_ca=False, names=())], key, [root.certificate])


def other_name() -> Served:
    root, (name, key) = Issuer("root"), _leaf()
    made = root.sign(name, key, is_ca=False, names=("127.0.0.2",))
    return Served([made], key, [root.certificate])


def ended() -> Served:
    root, (name, key) = Issuer("root"), _leaf()
    return Served([root.sign(name, key, is_ca=False, days=-1)], key, [root.certificate])


def unknown_root() -> Served:
    root, (name, key) = Issuer("root"), _leaf()
    return Served([root.sign(name, key, is_ca=False)], key, [Issuer("other").certificate])


def intermediate_alone_in_the_bundle() -> Served:
    middle, (name, key) = Issuer("middle", Issuer("root")), _leaf()
    return Served([middle.sign(name, key, is_ca=False)], key, [middle.certificate])


CERTIFICATES = (
    ordinary,
    self_signed_ca,
    self_signed_no_ca,
    ca_by_another_ca,
    no_alternative_name,
    other_name,
    ended,
    unknown_root,
    intermediate_alone_in_the_bundle,
)


@pytest.mark.parametrize("kind", CERTIFICATES, ids=lambda kind: kind.__name__)
def test_a_certificate_is_trusted_if_the_sdk_trusts_it(
    kind: Callable[[], Served], tmp_path: Path
) -> None:
    served = kind()
    pem = serialization.Encoding.PEM
    chain, key, bundle = (tmp_path / name for name in ("chain.pem", "key.pem", "bundle.pem"))
    chain.write_bytes(b"".join(each.public_bytes(pem) for each in served.chain))
    bundle.write_bytes(b"".join(each.public_bytes(pem) for each in served.bundle))
    form, encryption = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key.write_bytes(served.key.private_bytes(pem, form, encryption))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(chain, key)
    with Answering(lambda path: Reply(200, "[]"), tls) as server:
        variables = {**ON, "E2B_DOMAIN": server.domain, "SSL_CERT_FILE": str(bundle)}
        outcome = json.loads(forked.patched.output(LISTS, variables))
        sent = len(server.requests)
        report = examine_here(variables)
    is_trusted = report.state("tls") != "problem"
    assert is_trusted == (outcome == "trusted"), f"{outcome}, but {report.line('tls')}"
    assert ("api" in report.findings) == is_trusted
    # The key is not sent to a server that the SDK does not trust.
    assert is_trusted or len(server.requests) == sent == 0


def test_a_bundle_in_which_no_certificate_is(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("nothing\n")
    # It is read before anything is said to the server.
    with Answering(lambda path: Reply(200, "[]")) as server:
        variables = {**ON, "E2B_DOMAIN": server.domain, "SSL_CERT_FILE": str(bundle)}
        report = examine_here(variables)
    assert report.findings["tls"]["code"] == "bundle-unusable"
    assert report.status == 1


# --- proxies -------------------------------------------------------------------------------------

# The variables; {one} and {two} are proxies.
PROXIES: tuple[Mapping[str, str], ...] = (
    {"HTTP_PROXY": "http://{one}"},
    {"http_proxy": "http://{one}"},
    {"HTTP_PROXY": "{one}"},
    {"HTTP_PROXY": "http://{one}", "http_proxy": "http://{two}"},
    {"HTTP_PROXY": "", "http_proxy": "http://{two}"},
    {"ALL_PROXY": "http://{one}"},
    {"all_proxy": "http://{one}"},
    {"HTTP_PROXY": "http://{one}", "ALL_PROXY": "http://{two}"},
    {"HTTP_PROXY": "", "ALL_PROXY": "http://{two}"},
    {"HTTPS_PROXY": "http://{one}"},
    {"HTTP_PROXY": "http://{one}", "REQUEST_METHOD": "GET"},
    {"HTTP_PROXY": "http://[bad"},
    {"HTTP_PROXY": "http://[bad", "ALL_PROXY": "http://{two}"},
    *(
        {"HTTP_PROXY": "http://{one}", "NO_PROXY": listed}
        for listed in (
            "127.0.0.1",
            "127.0.0.0/8",
            "127.",
            "*",
            " 127.0.0.1 ",
            "10.0.0.0/8,127.0.0.1",
            "10.0.0.0/8 127.0.0.1",
            "localhost",
            ".localhost",
            "*.localhost",
            "LOCALHOST",
            "host",
            "",
        )
    ),
    {"HTTP_PROXY": "http://{one}", "NO_PROXY": "", "no_proxy": "127.0.0.1"},
    {"HTTP_PROXY": "http://{one}", "NO_PROXY": "other", "no_proxy": "127.0.0.1"},
)

# By which server each request of the SDK comes, for each host and each set of variables.
ASKS = """
import json, os
from pyqwest import SyncClient, SyncHTTPTransport
port, hosts, sets = json.loads(os.environ["TRIALS"])
result = []
for host in hosts:
    for variables in sets:
        for name in list(os.environ):
            if name.upper().endswith("_PROXY") or name == "REQUEST_METHOD":
                del os.environ[name]
        os.environ.update(variables)
        answer = SyncClient(SyncHTTPTransport()).get(f"http://{host}:{port}/")
        result.append(bytes(answer.content).decode())
print(json.dumps(result), flush=True)
os._exit(0)
"""


def replying(text: str) -> Callable[[str], Reply]:
    return lambda path: Reply(200, text)


@pytest.mark.skipif(E2B < (2, 38), reason="this SDK uses no proxy")
def test_a_proxy_is_used_if_the_sdk_uses_it() -> None:
    hosts = ("127.0.0.1", "localhost")
    direct, one, two = (Answering(replying(name)) for name in ("none", "one", "two"))
    with direct, one, two:
        sets = [
            {name: text.format(one=one.domain, two=two.domain) for name, text in each.items()}
            for each in PROXIES
        ]
        trials = json.dumps([direct.server_port, hosts, sets])
        seen = json.loads(fresh.output(ASKS, {"TRIALS": trials}))
        names = {f"http://{one.domain}": "one", f"http://{two.domain}": "two"}
    chosen = [proxy_for(each, "http", host, E2B) for host in hosts for each in sets]
    ours = [names[proxy.url] if proxy else "none" for proxy in chosen]
    cases = [(host, each) for host in hosts for each in PROXIES]
    wrong = {str(case): (s, o) for case, s, o in zip(cases, seen, ours) if s != o}
    assert wrong == {}


def test_an_older_sdk_uses_no_proxy() -> None:
    variables = {"HTTP_PROXY": "http://127.0.0.1:1"}
    assert proxy_for(variables, "http", "kruise.test", (2, 37, 1)) is None
    assert proxy_for(variables, "http", "kruise.test", (2, 38, 0)) is not None
