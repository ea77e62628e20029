"""Every refusal of the pure modules, word for word: what was wrong, what was found, what to do."""

from __future__ import annotations

import pytest

from kruise_autopatch import ConfigurationError, protocol, settings
from kruise_autopatch.api_keys import decode_api_key, encode_api_key
from kruise_autopatch.errors import IncompatibleSDKWarning, SandboxAddressError
from kruise_autopatch.patches import route as routing
from kruise_autopatch.patches.route import Explicit, Route
from kruise_autopatch.protocol import written
from kruise_autopatch.settings import Settings

NO_DOMAIN = (
    "kruise-autopatch is on (KRUISE_E2B_PATCH or patch_e2b), but no domain is set; nothing was"
    " sent. "
)
SET_E2B_DOMAIN = (
    "Set E2B_DOMAIN to the host and port of your sandbox-manager, for example"
    " agents-sandbox-manager.sandbox-system.svc.cluster.local:7788, or pass domain=."
)
AN_EXAMPLE = ", such as 'sandbox.example.com' or 'sandbox.example.com:8443'"


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"KRUISE_E2B_STRICT": "tru"},
            "KRUISE_E2B_STRICT='tru' is not a switch; write one of 1, true, yes, on to enable or"
            " 0, false, no, off to disable, or leave it unset.",
        ),
        (
            {"KRUISE_E2B_PROTOCOL": "public"},
            "KRUISE_E2B_PROTOCOL='public' is not a protocol; write private or native, or leave it"
            " out.",
        ),
        (
            {"KRUISE_E2B_LOG": "all"},
            "KRUISE_E2B_LOG='all' is not a level; write info or debug, or leave it unset.",
        ),
        (
            {"KRUISE_E2B_SANDBOX_DOMAIN": "https://u:p@a.test"},
            "KRUISE_E2B_SANDBOX_DOMAIN='https://<user>@a.test' has a scheme; write only the"
            f" host{AN_EXAMPLE}.",
        ),
        (
            {"KRUISE_E2B_SANDBOX_DOMAIN": "x.e2b.app"},
            "KRUISE_E2B_SANDBOX_DOMAIN='x.e2b.app' is E2B's public cloud, which does not speak the"
            " private protocol; write the host of your sandbox-manager or gateway.",
        ),
        (
            {"KRUISE_E2B_NATIVE_DOMAINS": "a.test,b/c"},
            "KRUISE_E2B_NATIVE_DOMAINS='b/c' has a path; write only the host, such as 'b'.",
        ),
        (
            {"KRUISE_E2B_PROTOCOL": "native", "KRUISE_E2B_HTTPS": "0"},
            "KRUISE_E2B_HTTPS=0, or https=False, chooses http, but native URLs are https, as the"
            " SDK makes them; leave that out, or choose KRUISE_E2B_PROTOCOL=private.",
        ),
        (
            {"KRUISE_E2B_PROTOCOL": "native", "KRUISE_E2B_SANDBOX_DOMAIN": "a.test"},
            "KRUISE_E2B_SANDBOX_DOMAIN='a.test' chooses the host for sandbox traffic, but native"
            " URLs have the one in the server's reply, as the SDK makes them; leave that out, or"
            " choose KRUISE_E2B_PROTOCOL=private.",
        ),
    ],
)
def test_of_a_variable(variables: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        settings.from_environment(variables)
    assert str(refusal.value) == message


def test_of_an_argument() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        settings.for_call({}, https=True, validate_key=False, protocol="x")
    assert str(refusal.value) == (
        "protocol='x' is not a protocol; write private or native, or leave it out."
    )


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        (
            "'a.test'",
            "has quotation marks around it; write the host without them, such as 'a.test'",
        ),
        ('"', f"has quotation marks around it; write the host without them{AN_EXAMPLE}"),
        ("x://a.test/b", "has a scheme; write only the host, such as 'a.test'"),
        ("x:// a.test /b://c", "has a scheme; write only the host, such as 'a.test'"),
        ("x://a.test://b", "has a scheme; write only the host, such as 'a.test'"),
        ("https://", f"has a scheme; write only the host{AN_EXAMPLE}"),
        ("a b", "contains a space; write the host without it, such as 'ab'"),
        ("aX b", "contains a space; write the host without it, such as 'aXb'"),
        ("a.test\r", "contains a line break; write the host without it, such as 'a.test'"),
        ("a.test\n", "contains a line break; write the host without it, such as 'a.test'"),
        ("a/b/c", "has a path; write only the host, such as 'a'"),
        ("a?b?c", "has a query; write only the host, such as 'a'"),
        ("a#b#c", "has a fragment; write only the host, such as 'a'"),
        ("u:p@ss@a", "has user information; write only the host, such as 'a'"),
        ("a:b", "has the port 'b'; write a number from 1 to 65535 after the colon, or none"),
        ("a:٣", "has the port '٣'; write a number from 1 to 65535 after the colon, or none"),
        ("[::1]:", "has the port ''; write a number from 1 to 65535 after the colon, or none"),
        ("[::1]:8]", "has the port '8]'; write a number from 1 to 65535 after the colon, or none"),
        ("[::g]", "is not an IPv6 address; write it as '[::1]' or '[::1]:8443'"),
        (
            "::2",
            "has more than one colon; write an IPv6 address in brackets, such as '[::2]'",
        ),
        (
            "a:b:c",
            "has more than one colon; write an IPv6 address in brackets, such as '[::1]:8443'",
        ),
        ("a..b", "has an empty label; write a host such as 'sandbox.example.com'"),
        (
            "a.b-",
            "has the label 'b-'; write letters, digits and hyphens between the dots, such as"
            " 'sandbox.example.com'",
        ),
    ],
)
def test_of_an_authority(domain: str, message: str) -> None:
    with pytest.raises(protocol.InvalidDomain) as refusal:
        protocol.parse_authority(domain)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("sandbox_id", "port", "message"),
    [
        (
            "a/b",
            80,
            "sandbox id 'a/b' is none that a server makes: letters, digits and . _ ~ -, beginning"
            " with a letter, a digit or _; look where it comes from.",
        ),
        (
            "api1",
            80,
            "sandbox id 'api1' begins with 'api', and the server takes every path below"
            " /kruise/api for its API; use a namespace, or a prefix of short ids, that does not.",
        ),
        ("s1", 0, "port 0 is not a port number; write a number from 1 to 65535."),
    ],
)
def test_of_a_sandbox(sandbox_id: str, port: int, message: str) -> None:
    with pytest.raises(SandboxAddressError) as refusal:
        Route("https", "a.test").sandbox_url(sandbox_id, None, port)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("explicit", "message"),
    [
        (Explicit(), NO_DOMAIN + SET_E2B_DOMAIN),
        (Explicit(sandbox_url="https://a.test"), NO_DOMAIN + SET_E2B_DOMAIN),
        (
            Explicit(api_url="https://a.test"),
            f"{NO_DOMAIN}{SET_E2B_DOMAIN} An API URL that does not end in /kruise/api says nothing"
            " about the sandboxes: they need a domain or a sandbox_url.",
        ),
        (
            Explicit(domain="a b"),
            "E2B_DOMAIN='a b' contains a space; write the host without it, such as 'ab'.",
        ),
        (
            Explicit(domain="a b", domain_source="domain"),
            "domain='a b' contains a space; write the host without it, such as 'ab'.",
        ),
        (
            Explicit(api_url="https://a:b/kruise/api"),
            "E2B_API_URL: its host 'a:b' has the port 'b'; write a number from 1 to 65535 after"
            " the colon, or none.",
        ),
        (
            Explicit(api_url="https://a:b/kruise/api", api_url_source="api_url"),
            "api_url: its host 'a:b' has the port 'b'; write a number from 1 to 65535 after the"
            " colon, or none.",
        ),
    ],
)
def test_of_a_client(explicit: Explicit, message: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        routing.choose(Settings(), explicit)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    "explicit",
    [Explicit(), Explicit(sandbox_url="https://a.test"), Explicit(api_url="https://a.test")],
)
def test_of_a_native_client(explicit: Explicit) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        routing.choose(Settings(protocol="native"), explicit)
    assert str(refusal.value) == (
        f"{NO_DOMAIN}Set E2B_DOMAIN to the DOMAIN of your api.DOMAIN and *.DOMAIN, or pass domain=."
    )


def test_of_the_host_for_sandbox_traffic_in_the_place_of_the_apis() -> None:
    explicit = Explicit(domain="gateway.test", domain_source="domain", otherwise="e2b.app")
    with pytest.raises(ConfigurationError) as refusal:
        explicit.about_the_api(Settings(sandbox_domain="gateway.test"))
    assert str(refusal.value) == (
        "domain='gateway.test' is the host for sandbox traffic (KRUISE_E2B_SANDBOX_DOMAIN), and"
        " none is set for the API; nothing was sent. Set E2B_DOMAIN to the API's, or pass that as"
        " domain=. If one host is both, unset KRUISE_E2B_SANDBOX_DOMAIN."
    )


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (
            "e2b.app",
            "KRUISE_E2B_SANDBOX_DOMAIN=server: the server's reply domain='e2b.app' is E2B's public"
            " cloud, so no traffic was sent to it; the sandbox ends with its timeout. Unset"
            " KRUISE_E2B_SANDBOX_DOMAIN to use the client's own domain.",
        ),
        (
            "a/b",
            "KRUISE_E2B_SANDBOX_DOMAIN=server: the server's reply domain='a/b' has a path; write"
            " only the host, such as 'a'.",
        ),
    ],
)
def test_of_a_servers_domain(reply: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        Route("https", "a.test", "server").sandbox_host("s1", reply, 80)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://a.b/ ", "has a space or a control character; write it as %20, or the like"),
        ("https://a.b/\x01", "has a space or a control character; write it as %20, or the like"),
        (
            "x://a.b/",
            "does not begin with one of http://, https://, ws://, wss://",
        ),
        (
            "https://a:b/kruise/api",
            "has the host 'a:b', which has the port 'b'; write a number from 1 to 65535 after the"
            " colon, or none",
        ),
        (
            "https://api.a:b/",
            "has the host 'api.a:b', which has the port 'b'; write a number from 1 to 65535 after"
            " the colon, or none",
        ),
        ("https://a.b/kruise", "has no path below /kruise/, as private URLs have"),
        (
            "https://a.b/kruise/s1/x/y",
            "has 'x' where /kruise/ID/PORT has a port from 1 to 65535",
        ),
        (
            "https://a.b/kruise/s1/80?x",
            "has a query straight after the port; the server wants a slash between",
        ),
        (
            "https://a.b/kruise/api1/80/",
            "leads nowhere: sandbox id 'api1' begins with 'api', and the server takes every path"
            " below /kruise/api for its API; use a namespace, or a prefix of short ids, that does"
            " not",
        ),
        (
            "https://api.e2b.app/x",
            "is of E2B's public cloud, which does not speak the private protocol",
        ),
        (
            "https://a.b/",
            "is no native URL: its host is neither api.DOMAIN nor PORT-ID.DOMAIN",
        ),
        (
            "https://a.b/kruise/s1/80/kruise",
            "has no native form: the server takes /kruise in a path for its own",
        ),
        (
            "https://a.b/kruise/s.1/80/",
            "has no native form: a host name cannot have 's.1' in it",
        ),
        (
            f"https://a.b/kruise/{'s' * 61}/80/",
            "has no native form: a host name's parts end at 63 letters",
        ),
        (
            "https://10.0.0.7:80/kruise/api",
            "has no native form: 10.0.0.7 is an address, which has no subdomains",
        ),
        (
            "https://api./",
            "has the domain '', which has an empty label; write a host such as"
            " 'sandbox.example.com'",
        ),
    ],
)
def test_of_a_url(url: str, message: str) -> None:
    with pytest.raises(written.InvalidUrl) as refusal:
        written.other_form(url)
    assert str(refusal.value) == message


def test_of_a_native_url_below_the_servers_own_path() -> None:
    with pytest.raises(written.InvalidUrl) as refusal:
        written.parse_native("https://api.a.b/kruise/x")
    assert str(refusal.value) == (
        "has a path that begins with /kruise, which the server takes for its own"
    )


PREFIX = "e2b_6f6b616701"


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        (
            "x",
            f"This is not an encoded API key: one begins with {PREFIX} and goes on in lower-case"
            " hexadecimal digits.",
        ),
        (
            f"{PREFIX}00000002ff{'0' * 16}",
            "The encoded API key says that its key has 2 bytes, but holds 1; copy it in full.",
        ),
        (
            f"{PREFIX}00000001ff{'0' * 16}",
            "The encoded API key has a wrong checksum; copy it again.",
        ),
        (f"{PREFIX}00000001ff02ac452e1c07cc6b", "The encoded API key does not hold text."),
    ],
)
def test_of_an_encoded_key(encoded: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        decode_api_key(encoded)
    assert str(refusal.value) == message


def test_of_an_empty_key() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        encode_api_key("")
    assert str(refusal.value) == "An empty API key cannot be encoded."


def test_a_warning_reads_as_the_error_in_whose_place_it_is() -> None:
    warning = IncompatibleSDKWarning("e2b lacks x", "Install another.")
    assert (warning.problem, warning.advice) == ("e2b lacks x", "Install another.")
    assert str(warning) == "kruise-autopatch: e2b lacks x."
