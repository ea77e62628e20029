"""When it is on and cannot do its work: an error that says so, never a native request."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from support import forked, sdks

ON = {"KRUISE_E2B_PATCH": "1", "E2B_DOMAIN": "kruise.test"}


@pytest.mark.parametrize(
    ("module", "old", "new", "point"),
    [
        (
            "connection_config.py",
            "def get_host(",
            "def get_hostname(",
            "e2b.connection_config:ConnectionConfig.get_host is missing",
        ),
        (
            "connection_config.py",
            "def get_host(self, sandbox_id:",
            "def get_host(self, name:",
            "ConnectionConfig.get_host has changed: it takes no sandbox_id",
        ),
        (
            "sandbox/main.py",
            "_file_url",
            "_files_url",
            "e2b.sandbox.main:SandboxBase._file_url is missing",
        ),
    ],
)
def test_a_patch_point_that_is_gone_names_the_release_and_the_point(
    tmp_path: Path, module: str, old: str, new: str, point: str
) -> None:
    variables = sdks.changed_copy(tmp_path, module, old, new)
    message = forked.error("import e2b", {**ON, **variables})
    assert message.startswith("kruise_autopatch.errors.IncompatibleSDKError: ")
    assert f"e2b {version('e2b')} cannot be fully patched" in message
    assert point in message
    assert "KRUISE_E2B_STRICT=0" in message


# Where connections are made: what the SDK's module does without, from then on.
TRANSPORTS = (
    ("TransportWithLogger", "TransportWithLog", "TransportWithLogger.__init__")
    if version("e2b").startswith(("2.8.", "2.9."))
    else ("def get_envd_api(", "del SyncHTTPTransport\ndef get_envd_api(", "SyncHTTPTransport")
)


def test_transports_that_are_built_elsewhere_are_an_error(tmp_path: Path) -> None:
    old, new, name = TRANSPORTS
    variables = sdks.changed_copy(tmp_path, "api/client_sync/__init__.py", old, new)
    message = forked.error("import e2b", {**ON, **variables})
    assert f"e2b {version('e2b')} cannot be fully patched" in message
    assert f"e2b.api.client_sync:{name} is missing" in message


def test_an_unusable_sdk_stays_unusable_when_it_is_imported_again(tmp_path: Path) -> None:
    variables = sdks.changed_copy(tmp_path, "sandbox/main.py", "_file_url", "_files_url")
    code = """
failures = 0
for _ in range(3):
    try:
        import e2b
    except ImportError as error:
        failures += "IncompatibleSDKError" == type(error).__name__
result = failures
"""
    assert forked.value(code, {**ON, **variables}) == 3


def test_when_one_point_is_gone_no_other_is_patched(tmp_path: Path) -> None:
    variables = sdks.changed_copy(tmp_path, "sandbox/main.py", "_file_url", "_files_url")
    code = """
import e2b, kruise_autopatch
before = dict(vars(e2b.ConnectionConfig))
try:
    kruise_autopatch.patch_e2b()
except kruise_autopatch.IncompatibleSDKError:
    pass
result = [before == dict(vars(e2b.ConnectionConfig)), str(kruise_autopatch.status())]
"""
    assert forked.value(code, variables) == [True, "kruise-autopatch: off"]


def test_strict_off_warns_and_goes_on(tmp_path: Path) -> None:
    variables = sdks.changed_copy(tmp_path, "sandbox/main.py", "_file_url", "_files_url")
    code = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import e2b
ours = [str(w.message) for w in caught if "kruise-autopatch" in str(w.message)]
result = [ours, e2b.ConnectionConfig().api_url]
"""
    result = forked.value(code, {**ON, **variables, "KRUISE_E2B_STRICT": "0"})
    (warning,), api_url = result
    assert "e2b.sandbox.main:SandboxBase._file_url is missing" in warning
    assert api_url == "https://kruise.test/kruise/api"


def test_an_sdk_that_is_too_old_says_which_release_is_needed(tmp_path: Path) -> None:
    variables = sdks.other_version(tmp_path, "2.7.3")
    message = forked.error("import e2b", {**ON, **variables})
    assert "e2b 2.7.3 is too old: e2b 2.8.0 or newer is needed" in message


def test_too_old_and_not_strict_warns_and_stays_native(tmp_path: Path) -> None:
    variables = {**sdks.other_version(tmp_path, "2.7.3"), "KRUISE_E2B_STRICT": "0"}
    code = "import e2b, kruise_autopatch as k; print(e2b.ConnectionConfig().api_url, k.status())"
    done = forked.run(["-c", code], {**ON, **variables})
    assert "too old" in done.stderr
    native = "https://api.kruise.test kruise-autopatch: on, the imported e2b is not patched"
    assert done.stdout.strip() == native


@pytest.mark.parametrize("value", ["2", "ja", "tru e"])
@pytest.mark.parametrize("name", ["KRUISE_E2B_PATCH", "KRUISE_E2B_HTTPS", "KRUISE_E2B_STRICT"])
def test_a_misspelt_switch_is_reported_when_e2b_is_imported(name: str, value: str) -> None:
    message = forked.error("import e2b", {**ON, name: value})
    assert message.startswith(
        f"kruise_autopatch.errors.ConfigurationError: {name}={value!r} is not"
    )


@pytest.mark.parametrize(
    ("domain", "reason"),
    [
        ("https://kruise.test", "has a scheme; write only the host, such as 'kruise.test'"),
        ("kruise.test/kruise/api", "has a path; write only the host, such as 'kruise.test'"),
        ("kruise test", "contains a space; write the host without it, such as 'kruisetest'"),
        ("kruise..test", "has an empty label"),
        ("kruise.test:port", "has the port 'port'"),
    ],
)
@pytest.mark.parametrize("way", ["E2B_DOMAIN", "domain"])
def test_a_malformed_domain_is_refused_before_anything_is_sent(
    domain: str, reason: str, way: str
) -> None:
    argument = f"domain={domain!r}" if way == "domain" else ""
    variables = {"KRUISE_E2B_PATCH": "1", "E2B_API_KEY": "k"}
    if way == "E2B_DOMAIN":
        variables["E2B_DOMAIN"] = domain
    code = f"{NO_SOCKETS}\nfrom e2b import Sandbox; Sandbox.create({argument})"
    message = forked.error(code, variables)
    assert message.startswith(f"kruise_autopatch.errors.ConfigurationError: {way}={domain!r} ")
    assert reason in message


# Sees every connection that Python makes. The SDK's Rust transport would not pass here, but it
# cannot be built before the client configuration whose construction fails.
NO_SOCKETS = """
import sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        raise AssertionError(f"{event} {arguments}")
sys.addaudithook(refuse)
"""

REQUESTS_WITHOUT_A_DOMAIN = [
    "from e2b import Sandbox; Sandbox.create()",
    "from e2b import Sandbox; Sandbox.list().next_items()",
    "from e2b import Sandbox; Sandbox.connect('s1')",
    "from e2b import Sandbox; Sandbox.kill('s1')",
    "import asyncio; from e2b import AsyncSandbox; asyncio.run(AsyncSandbox.create())",
    "from e2b_code_interpreter import Sandbox; Sandbox.create()",
    "from e2b import Template; Template.build(Template().from_base_image(), alias='x')",
    "from e2b import Sandbox; Sandbox.create(api_url='http://127.0.0.1:9/api')",
]


@pytest.mark.parametrize("request_", REQUESTS_WITHOUT_A_DOMAIN)
def test_without_a_domain_no_byte_leaves_the_process(request_: str) -> None:
    variables = {"KRUISE_E2B_PATCH": "1", "E2B_API_KEY": "k"}
    message = forked.error(f"{NO_SOCKETS}\n{request_}", variables)
    assert message.startswith("kruise_autopatch.errors.ConfigurationError: ")
    assert "Set E2B_DOMAIN" in message


def test_a_missing_key_is_the_sdks_own_error() -> None:
    message = forked.error("from e2b import Sandbox; Sandbox.create()", ON)
    assert "AuthenticationException: API key is required" in message
