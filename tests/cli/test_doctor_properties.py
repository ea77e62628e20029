"""Whatever the environment, the doctor says something, hides what is secret, and does not crash."""

from __future__ import annotations

import json
import os
import socket
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kruise_autopatch import variables
from kruise_autopatch.cli import doctor
from kruise_autopatch.cli.doctor import catalogue, findings, network, request, sdk, start_up
from kruise_autopatch.cli.doctor.request import Answer

# What people write, and what they write by mistake.
PIECES = (
    *("http://", "https://", "://", "socks5://", "user:p@ss@", "@", "[::1]", "[bad", "]", "::"),
    *("kruise.test", "e2b.app", "127.0.0.1", "localhost", "*", ".", "..", ",", "10.0.0.0/8"),
    *(":8443", ":0", ":99999", ":", "/kruise/api", "/api", "?a=b", "#c", "%zz", "%20", "\\"),
    *("1", "0", "on", "off", "true", "server", "debug", "nope", " ", "\n", "\t", '"', "'"),
    *("e2b_6f6b616701", "e2b_6f6b6167010000000c736f6d65", "some-api-key", "$(E2B_DOMAIN)", "{{x}}"),
    *("{", "}", "{0}", "{to.__class__}", "ü", "\udcff", "\x1b[31m", "/etc/passwd", "/nowhere.pem"),
)
values = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=5).map("".join),
    st.text(st.characters(blacklist_characters="\0"), max_size=12),
)
names = st.one_of(
    st.sampled_from(variables.names(variables.VARIABLES)),
    st.sampled_from(("KRUISE_E2B_HTTP", "E2B_APIKEY", "http_proxy", "no_proxy", "VIRTUAL_ENV")),
    st.from_regex(r"(KRUISE_)?E2B_[A-Z_]{1,8}", fullmatch=True),
)
environments = st.dictionaries(names, values, max_size=6)


BODIES = ("", "[]", "{}", "null", '[{"sandboxID": 7, "state": "running"}]', "<html>no</html>", "{x")
answers = st.builds(
    Answer,
    st.integers(100, 599),
    st.dictionaries(st.sampled_from(("location", "server", "content-type")), values, max_size=3),
    st.one_of(
        st.sampled_from(BODIES),
        st.sampled_from(("API Error: x", "sandbox not found: x")),
        st.builds(json.dumps, st.dictionaries(st.sampled_from(("code", "message")), values)),
        st.builds(json.dumps, st.lists(st.dictionaries(st.just("domain"), values), max_size=2)),
    ),
    st.none(),
)


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither another process nor the network: a random name leads anywhere."""

    def unreachable(*arguments: Any, **options: Any) -> Any:
        raise OSError("not in this test")

    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    monkeypatch.setattr(socket, "create_connection", unreachable)
    monkeypatch.setattr(start_up, "ask", lambda *_: (True, ""))


@settings(
    max_examples=int(os.environ.get("KRUISE_TEST_EXAMPLES", "200")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    environment=environments,
    offline=st.booleans(),
    with_client=st.booleans(),
    answer=st.one_of(st.none(), answers),
)
def test_no_environment_is_too_odd(
    environment: dict[str, str], offline: bool, with_client: bool, answer: Answer | None
) -> None:
    # As the SDK has them: it takes a URL as it is written.
    url = environment.get("E2B_API_URL") or f"http://{environment.get('E2B_DOMAIN', 'a.test')}"
    sandbox = environment.get("E2B_SANDBOX_URL") or f"{url}/kruise/SANDBOX/49983"
    client = sdk.SDK((), url, sandbox, "2.63.0") if with_client else sdk.SDK(())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sdk, "examine", lambda _: client)
        if answer is not None:
            # Every name and every port is there, and whoever is asked says the same.
            patched.setattr(socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", ("10.0.0.7",))])
            patched.setattr(network, "connect", lambda *_: socket.socket())
            patched.setattr(request.Client, "get", lambda *_, **__: answer)
        report = list(doctor.examine(environment, offline=offline, timeout=1))

    assert {"interpreter", "hook", "variable:E2B_API_KEY"} <= {each.check for each in report}
    for each in report:
        assert each.state == catalogue.KINDS[each.code].state
        assert findings.line(each).isprintable()
        assert each.advice or each.state != "problem"
    json.loads(findings.as_json(report))
    for name in variables.SECRETS:
        secret = environment.get(name, "").strip()
        # Shorter ones are parts of ordinary words, and of what is shown anyway.
        if len(secret) >= 12 and secret not in PIECES:
            assert secret not in findings.as_json(report)
