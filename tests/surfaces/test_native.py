"""``KRUISE_E2B_PROTOCOL=native``: every URL to the letter, as the SDK makes it without us.

The same program runs with and without us. What the rest of the patches does by native URLs is
compared with the tables in ``test_surfaces.py`` and ``tokens/test_every_request.py``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest

from support import forked

# Prints every URL that the SDK hands out, for clients that are built in several ways.
PROGRAM = """
import inspect, json, os
import e2b, e2b_code_interpreter, e2b_desktop.main
from packaging.version import Version

def sandbox(cls, config, replied):
    return cls(sandbox_id="s1", envd_version=Version("0.4.0"), envd_access_token="t",
               sandbox_domain=replied, traffic_access_token=None, connection_config=config)

def urls_of(box):
    config, here = box.connection_config, ("s1", box.sandbox_domain)
    found = {
        "domain": config.domain, "api_url": config.api_url,
        "sandbox_domain": box.sandbox_domain, "get_host": box.get_host(3000),
        "envd_api_url": box.envd_api_url, "get_sandbox_url": config.get_sandbox_url(*here),
        "download_url": box.download_url("/a b"), "upload_url": box.upload_url("/c"),
        "get_mcp_url": box.get_mcp_url(),
    }
    for name in ("jupyter_url", "envd_direct_url"):
        found[name] = getattr(box, name, getattr(box, f"_{name}", None))
    if hasattr(config, "get_sandbox_direct_url"):
        found["direct"] = config.get_sandbox_direct_url(*here)
    if "port" in inspect.signature(config.get_sandbox_url).parameters:
        found["port"] = config.get_sandbox_url(*here, port=8080)
    return found

def clients(options):
    yield "a configuration", e2b.ConnectionConfig(**options)
    if hasattr(e2b, "E2B"):
        client = e2b.E2B(**options)
        params = client.Sandbox._bound_api_params
        yield "bound", e2b.ConnectionConfig(**params)

CLASSES = [e2b.Sandbox, e2b.AsyncSandbox, e2b_code_interpreter.Sandbox,
           e2b_code_interpreter.AsyncSandbox]

result = {}
for options in ({}, {"domain": "other.test:8443"}, {"api_url": "http://api.test:8080/x"},
                {"sandbox_url": "https://boxes.test"}, {"debug": True}, {"domain": "e2b.app"}):
    for way, config in clients({"api_key": "e2b_00", **options}):
        for replied in (None, "replied.test", "localhost"):
            for cls in CLASSES:
                box = sandbox(cls, config, replied)
                key = f"{options} {way} {replied} {cls.__module__}"
                result[key] = urls_of(box)
            vnc = e2b_desktop.main._VNCServer(sandbox(e2b_desktop.Sandbox, config, replied))
            result[f"{options} {way} {replied} desktop"] = [vnc.get_url(), vnc.get_url(resize="")]
    try:
        from e2b.volume.connection_config import VolumeConnectionConfig
    except ImportError:
        continue
    volume = {name: options[name] for name in options if name != "sandbox_url"}
    result[f"{options} volumes"] = VolumeConnectionConfig(**volume).api_url
"""

# That we are there, and take part in each client of OpenKruise's.
PRESENT = """
import kruise_autopatch
from kruise_autopatch.patches import carried
status = kruise_autopatch.status()
states = sorted({patch.state for patch in status.patches} - {"absent"})
ours = [carried.is_openkruise(e2b.ConnectionConfig(**options))
        for options in ({}, {"domain": "other.test"}, {"domain": "e2b.app"}, {"debug": True})]
result = [result, status.settings.protocol, states, ours]
"""

E2B = {"E2B_DOMAIN": "kruise.test", "E2B_API_KEY": "e2b_00"}
NATIVE = {"KRUISE_E2B_PATCH": "1", "KRUISE_E2B_PROTOCOL": "native"}

EXPLICIT = [{}, {"E2B_API_URL": "https://a.test/x"}, {"E2B_SANDBOX_URL": "https://b.test"}]


@lru_cache
def _stock(**explicit: str) -> Any:
    return forked.native.value(PROGRAM, {**E2B, **explicit})


@pytest.mark.parametrize("explicit", EXPLICIT, ids=["domain", "E2B_API_URL", "E2B_SANDBOX_URL"])
@pytest.mark.parametrize("way", ["variable", "call"])
def test_every_url_is_to_the_letter_what_the_sdk_makes(way: str, explicit: dict[str, str]) -> None:
    stock = _stock(**explicit)
    assert "https://49983-s1.replied.test" in str(stock) or explicit
    if way == "variable":
        ours = forked.patched.value(PROGRAM + PRESENT, {**E2B, **explicit, **NATIVE})
    else:
        call = "import kruise_autopatch; kruise_autopatch.patch_e2b(protocol='native')"
        ours = forked.native.value(f"{call}\n{PROGRAM}{PRESENT}", {**E2B, **explicit})
    assert len(stock) > 70
    assert ours == [stock, "native", ["applied"], [True, True, False, False]]


API_URL = "import e2b\nresult = e2b.ConnectionConfig({arguments}).api_url"


@pytest.mark.parametrize("arguments", ["", "api_url='https://api.kruise.test'"])
def test_without_a_domain_nothing_goes_to_e2bs_cloud(arguments: str) -> None:
    error = forked.error(API_URL.format(arguments=arguments), {**NATIVE, "E2B_API_KEY": "k"})
    assert "no domain is set; nothing was sent" in error
    assert "api.DOMAIN" in error


def test_two_explicit_urls_need_no_domain() -> None:
    arguments = "api_url='https://a.test', sandbox_url='https://b.test'"
    assert forked.value(API_URL.format(arguments=arguments), NATIVE) == "https://a.test"


def test_a_bad_domain_is_refused_before_anything_is_sent() -> None:
    error = forked.error(API_URL.format(arguments="domain='https://kruise.test'"), NATIVE)
    assert "domain='https://kruise.test' has a scheme" in error


REFUSED: list[tuple[dict[str, str], str]] = [
    ({"KRUISE_E2B_PROTOCOL": "kruise"}, "KRUISE_E2B_PROTOCOL='kruise' is not a protocol"),
    ({"KRUISE_E2B_HTTPS": "0"}, "native URLs are https"),
    ({"KRUISE_E2B_SANDBOX_DOMAIN": "gateway.test"}, "KRUISE_E2B_SANDBOX_DOMAIN='gateway.test'"),
]


@pytest.mark.parametrize(("variables", "reason"), REFUSED)
def test_what_native_urls_cannot_honour_is_an_error_and_not_ignored(
    variables: dict[str, str], reason: str
) -> None:
    assert reason in forked.error("import e2b", {**E2B, **NATIVE, **variables})


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("protocol='kruise'", "protocol='kruise' is not a protocol"),
        ("https=False, protocol='native'", "native URLs are https"),
        ("False", "native URLs are https"),
    ],
)
def test_a_call_is_refused_for_the_same(arguments: str, reason: str) -> None:
    code = f"import kruise_autopatch; kruise_autopatch.patch_e2b({arguments})"
    assert reason in forked.error(code, {"KRUISE_E2B_PROTOCOL": "native"})


def test_the_servers_domain_is_what_the_sdk_uses_anyway() -> None:
    variables = {**E2B, **NATIVE, "KRUISE_E2B_SANDBOX_DOMAIN": "server"}
    assert forked.value(API_URL.format(arguments=""), variables) == "https://api.kruise.test"


# How a call of patch_e2b and the variable decide together.
CHOICES: list[tuple[str, dict[str, str], str]] = [
    ("patch_e2b(protocol='native')", {}, "native"),
    ("patch_e2b()", {}, "private"),
    ("patch_e2b()", {"KRUISE_E2B_PROTOCOL": "Native "}, "native"),
    ("patch_e2b(protocol='private')", {"KRUISE_E2B_PROTOCOL": "native"}, "private"),
    ("patch_e2b(protocol='native'); patch_e2b()", {}, "private"),
]


@pytest.mark.parametrize(("calls", "variables", "protocol"), CHOICES)
def test_status_says_which_protocol(calls: str, variables: dict[str, str], protocol: str) -> None:
    code = f"""
from kruise_autopatch import patch_e2b, status
{calls}
import e2b
url = e2b.ConnectionConfig(domain="kruise.test").api_url
result = [status().settings.protocol, f"protocol='{protocol}'" in str(status()), url]
"""
    urls = {"private": "https://kruise.test/kruise/api", "native": "https://api.kruise.test"}
    assert forked.value(code, variables) == [protocol, True, urls[protocol]]


def test_unpatching_leaves_no_mark() -> None:
    code = """
import e2b, kruise_autopatch
kruise_autopatch.patch_e2b(protocol="native")
kruise_autopatch.unpatch_e2b()
config = e2b.ConnectionConfig(domain="kruise.test")
result = [config.api_url, [name for name in vars(config) if "kruise" in name]]
"""
    assert forked.native.value(code) == ["https://api.kruise.test", []]


def test_an_object_built_before_is_refused_where_it_would_send_something() -> None:
    code = """
import e2b, kruise_autopatch
config = e2b.ConnectionConfig(domain="kruise.test", api_key="e2b_00")
kruise_autopatch.patch_e2b(protocol="native")
try:
    e2b.ApiClient(config)
except kruise_autopatch.KruiseAutopatchError as error:
    result = type(error).__name__
"""
    assert forked.native.value(code) == "UnpatchedClientError"


KEYS = """
import e2b, json
def accepted(**options):
    try:
        e2b.ApiClient(e2b.ConnectionConfig(api_key="some-api-key", **options))
        return True
    except e2b.AuthenticationException:
        return False
result = [accepted(), accepted(api_url="https://other.test"), accepted(domain="e2b.app"),
          accepted(api_url="https://api.e2b.app")]
"""


def test_a_key_of_any_form_is_for_openkruise_alone() -> None:
    stock: Any = forked.native.value(KEYS, E2B)
    # Only 2.25.0 to 2.45.1 refuse it.
    expected = [True, True, *stock[2:]]
    assert forked.patched.value(KEYS, {**E2B, **NATIVE}) == expected
