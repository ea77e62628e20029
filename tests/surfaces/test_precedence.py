"""What the user set explicitly wins, and every client of a process may have its own domain."""

from __future__ import annotations

import pytest

from kruise_autopatch_local import LocalManager
from support import forked

ON = {"KRUISE_E2B_PATCH": "1", "KRUISE_E2B_HTTPS": "0", "E2B_API_KEY": "k"}

# The URLs of a configuration and of a sandbox that it made; the server's reply named "server".
COLLECT = """
import json
from packaging.version import Version
from e2b import ConnectionConfig, Sandbox
def urls(**options):
    config = ConnectionConfig(**options)
    sandbox = Sandbox(sandbox_id="s1", envd_version=Version("0.2.10"), envd_access_token=None,
                      sandbox_domain="server.test", connection_config=config)
    return {"api": config.api_url, "envd": sandbox.envd_api_url, "host": sandbox.get_host(80)}
"""

PRIVATE = {
    "api": "http://kruise.test/kruise/api",
    "envd": "http://kruise.test/kruise/s1/49983",
    "host": "kruise.test/kruise/s1/80",
}


def _urls(arguments: str, variables: dict[str, str]) -> dict[str, str]:
    urls: dict[str, str] = forked.patched.value(f"{COLLECT}\nresult = urls({arguments})", variables)
    return urls


DOMAIN = {**ON, "E2B_DOMAIN": "kruise.test"}

# (what is tested, arguments, variables, what differs from PRIVATE)
PRECEDENCE = [
    ("nothing explicit", "", DOMAIN, {}),
    ("domain=", "domain='kruise.test'", ON, {}),
    (
        "domain= over E2B_DOMAIN",
        "domain='kruise.test'",
        {**ON, "E2B_DOMAIN": "other.test"},
        {},
    ),
    ("api_url=", "api_url='https://api.test'", DOMAIN, {"api": "https://api.test"}),
    (
        "E2B_API_URL",
        "",
        {**DOMAIN, "E2B_API_URL": "https://api.test"},
        {"api": "https://api.test"},
    ),
    (
        "api_url= over E2B_API_URL",
        "api_url='https://argument.test'",
        {**DOMAIN, "E2B_API_URL": "https://api.test"},
        {"api": "https://argument.test"},
    ),
    (
        "sandbox_url=",
        "sandbox_url='http://envd.test:49983'",
        DOMAIN,
        {"envd": "http://envd.test:49983"},
    ),
    (
        "E2B_SANDBOX_URL",
        "",
        {**DOMAIN, "E2B_SANDBOX_URL": "http://envd.test:49983"},
        {"envd": "http://envd.test:49983"},
    ),
    (
        "a private api_url= stands for the domain",
        "api_url='http://kruise.test/kruise/api'",
        ON,
        {},
    ),
    (
        "a private api_url= of the same domain settles the scheme",
        "api_url='https://kruise.test/kruise/api'",
        DOMAIN,
        {
            "api": "https://kruise.test/kruise/api",
            "envd": "https://kruise.test/kruise/s1/49983",
        },
    ),
    (
        "KRUISE_E2B_SANDBOX_DOMAIN",
        "",
        {**DOMAIN, "KRUISE_E2B_SANDBOX_DOMAIN": "gateway.test:80"},
        {
            "envd": "http://gateway.test:80/kruise/s1/49983",
            "host": "gateway.test:80/kruise/s1/80",
        },
    ),
    (
        "KRUISE_E2B_SANDBOX_DOMAIN=server",
        "",
        {**DOMAIN, "KRUISE_E2B_SANDBOX_DOMAIN": "server"},
        {"envd": "http://server.test/kruise/s1/49983", "host": "server.test/kruise/s1/80"},
    ),
    (
        "KRUISE_E2B_HTTPS unset",
        "",
        {"KRUISE_E2B_PATCH": "1", "E2B_DOMAIN": "kruise.test"},
        {
            "api": "https://kruise.test/kruise/api",
            "envd": "https://kruise.test/kruise/s1/49983",
        },
    ),
]


@pytest.mark.parametrize(
    ("arguments", "variables", "difference"),
    [case[1:] for case in PRECEDENCE],
    ids=[case[0] for case in PRECEDENCE],
)
def test_precedence(arguments: str, variables: dict[str, str], difference: dict[str, str]) -> None:
    assert _urls(arguments, variables) == {**PRIVATE, **difference}


NATIVE = [
    ("debug=True", "debug=True", DOMAIN),
    ("E2B_DEBUG", "", {**DOMAIN, "E2B_DEBUG": "true"}),
    ("E2B_DEBUG without a domain", "", {**ON, "E2B_DEBUG": "true"}),
    ("a public domain=", "domain='e2b.dev'", DOMAIN),
    ("a public E2B_DOMAIN", "", {**ON, "E2B_DOMAIN": "e2b.app"}),
    ("a subdomain of a public one", "", {**ON, "E2B_DOMAIN": "foxtrot-2.e2b.dev"}),
]


@pytest.mark.parametrize(
    ("arguments", "variables"), [case[1:] for case in NATIVE], ids=[case[0] for case in NATIVE]
)
def test_native_clients_are_left_alone(arguments: str, variables: dict[str, str]) -> None:
    stock = {name: text for name, text in variables.items() if not name.startswith("KRUISE")}
    assert _urls(arguments, variables) == _urls(arguments, stock)


def test_the_domain_may_be_set_after_the_import() -> None:
    code = f"""
import os
import e2b
{COLLECT}
os.environ["E2B_DOMAIN"] = "first.test"
first = urls()["host"]
os.environ["E2B_DOMAIN"] = "second.test"
result = [first, urls()["host"]]
"""
    assert forked.patched.value(code, ON) == ["first.test/kruise/s1/80", "second.test/kruise/s1/80"]


def test_a_trailing_dot_and_an_ipv6_address_are_kept() -> None:
    code = f"{COLLECT}\nresult = [urls(domain=d)['envd'] for d in ('a.test.', '[::1]:80')]"
    assert forked.patched.value(code, ON) == [
        "http://a.test./kruise/s1/49983",
        "http://[::1]:80/kruise/s1/49983",
    ]


VOLUME = """
try:
    from e2b.volume.connection_config import VolumeConnectionConfig
except ImportError:
    result = "this release has no volumes"
else:
    result = VolumeConnectionConfig({arguments}).api_url
"""


@pytest.mark.parametrize(
    ("arguments", "variables", "url"),
    [
        ("", {"E2B_VOLUME_API_URL": "https://volumes.test"}, "https://volumes.test"),
        ("api_url='https://argument.test'", {}, "https://argument.test"),
        # The SDK does not ask this variable for volumes either.
        ("", {"E2B_API_URL": "https://api.test"}, "http://kruise.test/kruise/api"),
        ("debug=True", {}, "http://localhost:8080"),
    ],
)
def test_volumes_have_a_url_of_their_own(
    arguments: str, variables: dict[str, str], url: str
) -> None:
    found = forked.patched.value(VOLUME.format(arguments=arguments), {**DOMAIN, **variables})
    assert found in (url, "this release has no volumes")


TWO_DOMAINS = """
import sys
from e2b import Sandbox
first, second = sys.argv[1:]
a = Sandbox.create(domain=first, api_key="k1")
b = Sandbox.create(domain=second, api_key="k2")
a.files.write("/who", "first")
b.files.write("/who", "second")
print(a.files.read("/who"), b.files.read("/who"))
a.set_timeout(60), b.set_timeout(60)
a.kill(), b.kill()
"""

BOUND_CLIENTS = """
import sys
import e2b
if not hasattr(e2b, "E2B"):
    sys.exit("this release has no bound clients")
first, second = sys.argv[1:]
a = e2b.E2B(domain=first, api_key="k1").Sandbox.create()
b = e2b.E2B(domain=second, api_key="k2").Sandbox.create()
a.files.write("/who", "first")
b.files.write("/who", "second")
print(a.files.read("/who"), b.files.read("/who"))
a.kill(), b.kill()
"""


@pytest.mark.parametrize("program", [TWO_DOMAINS, BOUND_CLIENTS], ids=["domain=", "E2B(domain=)"])
def test_two_back_ends_in_one_process_do_not_mix(program: str) -> None:
    variables = {"KRUISE_E2B_PATCH": "1", "KRUISE_E2B_HTTPS": "0"}
    with LocalManager(api_key="k1") as first, LocalManager(api_key="k2") as second:
        done = forked.patched.run(["-c", program, first.domain, second.domain], variables)
        if "no bound clients" in done.stderr:
            pytest.skip("this release has no bound clients")
        assert done.stdout.strip() == "first second", done.stderr
        for manager in (first, second):
            statuses = {request["status"] for request in manager.requests()}
            assert statuses <= {200, 201, 204}
            assert {request["host"] for request in manager.requests()} == {manager.domain}
