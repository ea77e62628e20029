"""The doctor on variables, and what it must never print."""

from __future__ import annotations

import pytest

from cli.doctoring import DOCTOR, examine_here
from kruise_autopatch import encode_api_key, settings
from support import fresh

KEY = "a-key-that-is-secret"
ON = {"KRUISE_E2B_PATCH": "1", "E2B_DOMAIN": "kruise.test", "E2B_API_KEY": KEY}

VARIABLES = [
    ("KRUISE_E2B_PATCH", None, "problem", "is unset: off"),
    ("KRUISE_E2B_PATCH", "", "problem", "is empty: off"),
    ("KRUISE_E2B_PATCH", "0", "problem", "KRUISE_E2B_PATCH=0: off"),
    ("KRUISE_E2B_PATCH", "yes", "ok", "KRUISE_E2B_PATCH=yes: on"),
    ("KRUISE_E2B_PATCH", "ture", "problem", "is not a switch write one of 1, true"),
    ("KRUISE_E2B_HTTPS", None, "ok", "is unset, so 1"),
    ("KRUISE_E2B_HTTPS", "0", "ok", "KRUISE_E2B_HTTPS=0 (0 chooses http"),
    ("KRUISE_E2B_HTTPS", "http", "problem", "is not a switch"),
    ("KRUISE_E2B_PROTOCOL", None, "ok", "is unset, so private"),
    ("KRUISE_E2B_PROTOCOL", "Native", "ok", "KRUISE_E2B_PROTOCOL=Native (native leaves every URL"),
    ("KRUISE_E2B_PROTOCOL", "kruise", "problem", "is not a protocol write private or native"),
    ("KRUISE_E2B_SANDBOX_DOMAIN", "gateway.test", "ok", "=gateway.test (the host for sandbox"),
    ("KRUISE_E2B_SANDBOX_DOMAIN", "https://a.test", "problem", "has a scheme write only the host"),
    ("KRUISE_E2B_HTTP", "0", "problem", "no such variable did you mean KRUISE_E2B_HTTPS?"),
    ("KRUISE_E2B_XYZ_ABC", "0", "problem", "no such variable unset it"),
    ("kruise_e2b_https", "0", "problem", "no such variable did you mean KRUISE_E2B_HTTPS?"),
    ("KRUISE_HTTPS", "0", "problem", "no such variable did you mean KRUISE_E2B_HTTPS?"),
    ("E2B_APIKEY", KEY, "note", "e2b knows no such variable did you mean E2B_API_KEY?"),
    ("E2B_DOMAIN", None, "problem", "E2B_DOMAIN is unset"),
    ("E2B_DOMAIN", "https://kruise.test", "problem", "such as 'kruise.test'"),
    ("E2B_DOMAIN", "e2b.app", "problem", "E2B's own cloud"),
    ("E2B_DOMAIN", "kruise.test:8443", "ok", "E2B_DOMAIN=kruise.test:8443"),
    ("E2B_API_URL", "https://elsewhere.test", "note", "wins over the domain, for the API"),
    ("E2B_SANDBOX_URL", "https://elsewhere.test", "note", "for files and commands"),
    ("E2B_DEBUG", "true", "problem", "the SDK talks to localhost"),
    ("E2B_API_KEY", None, "problem", "E2B_API_KEY is unset"),
    ("E2B_API_KEY", KEY, "ok", "is set, 20 characters, raw form"),
    ("E2B_API_KEY", encode_api_key("some-api-key"), "ok", "is set, 62 characters, encoded form"),
    ("E2B_API_KEY", encode_api_key(KEY)[:-1] + "x", "problem", "damaged encoded form"),
    ("E2B_API_KEY", f"{KEY}\n", "problem", "a line break at an end remove it"),
    ("E2B_API_KEY", f'"{KEY}"', "problem", "with quotation marks around it remove them"),
    ("E2B_API_KEY", "$(E2B_API_KEY)", "problem", "a reference that nobody has resolved"),
    ("E2B_API_KEY", "geheimer-schlüssel", "problem", "no HTTP header can carry"),
    ("SSL_CERT_FILE", "/etc/ca.pem", "ok", "=/etc/ca.pem: the only certificates"),
    ("E2B_ACCESS_TOKEN", "sk_e2b_secret", "ok", "is set, 13 characters"),
]


@pytest.mark.parametrize(("name", "value", "state", "text"), VARIABLES)
def test_what_a_value_means(name: str, value: str | None, state: str, text: str) -> None:
    variables = {n: v for n, v in {**ON, name: value}.items() if v is not None}
    report = examine_here(variables, "--offline")
    assert (report.state(f"variable:{name}"), text in report.line(f"variable:{name}")) == (
        state,
        True,
    ), report.line(f"variable:{name}")
    assert report.status == (1 if state == "problem" else 0), report.text


@pytest.mark.parametrize(
    ("listed", "state"),
    [("kruise.test", "note"), ("a.test,test", "note"), ("other.test", "ok"), ("*.test", "ok")],
)
def test_a_domain_that_is_left_native_is_worth_a_look(listed: str, state: str) -> None:
    report = examine_here({**ON, "KRUISE_E2B_NATIVE_DOMAINS": listed}, "--offline")
    assert report.state("variable:E2B_DOMAIN") == state
    text = "E2B_DOMAIN=kruise.test is among KRUISE_E2B_NATIVE_DOMAINS: clients without a domain of"
    assert (text in report.line("variable:E2B_DOMAIN")) == (state == "note")
    code = report.findings["variable:E2B_DOMAIN"]["code"]
    assert code == ("domain-left-native" if state == "note" else "domain")


def test_every_variable_is_there() -> None:
    report = examine_here(ON, "--offline")
    for variable in settings.VARIABLES:
        assert f"variable:{variable.name}" in report.findings
    assert (report.status, report.state("network")) == (0, "note")


def test_urls_that_a_variable_keeps_native_are_pointed_out() -> None:
    report = examine_here({**ON, "E2B_API_URL": "https://elsewhere.test"}, "--offline")
    assert report.state("url:api") == "note"
    assert "the same as natively" in report.line("url:api")


def test_an_api_url_of_the_private_form_is_no_reason_to_worry() -> None:
    report = examine_here({**ON, "E2B_API_URL": "http://kruise.test/kruise/api"}, "--offline")
    assert report.state("url:api") == "ok"
    assert "http://kruise.test/kruise/api, as E2B_API_URL says" in report.line("url:api")


def test_variables_that_kubernetes_sets_for_a_service_are_no_mistakes() -> None:
    links = {
        "KRUISE_E2B_MANAGER_SERVICE_HOST": "10.0.0.7",
        "KRUISE_E2B_MANAGER_SERVICE_PORT_HTTP": "80",
        "KRUISE_E2B_MANAGER_PORT": "tcp://10.0.0.7:80",
        "KRUISE_E2B_MANAGER_PORT_80_TCP_ADDR": "10.0.0.7",
    }
    report = examine_here({**ON, **links}, "--offline")
    assert {f"variable:{name}" for name in links}.isdisjoint(report.findings)


# Mistakes that people make; test_censor.py has the forms.
@pytest.mark.parametrize("form", [(), ("--json",)])
@pytest.mark.parametrize(
    ("variables", "secrets"),
    [
        (
            {"E2B_API_KEY": f"{KEY}\nmore-of-it", "E2B_DOMAIN": KEY.upper(), "E2B_APIKEY": KEY},
            [KEY, "more-of-it"],
        ),
        (
            {
                "E2B_API_KEY": encode_api_key(KEY),
                "E2B_DOMAIN": f"user:{KEY}@kruise.test",
                "KRUISE_E2B_HTTPS": KEY,
                "E2B_ACCESS_TOKEN": "sk_e2b_secret",
                "E2B_API_URL": f"https://user:p@ss/word@kruise.test?key={encode_api_key(KEY)}",
            },
            [KEY, encode_api_key(KEY), "sk_e2b_secret", "ss/word"],
        ),
    ],
)
def test_no_secret_is_printed(
    variables: dict[str, str], secrets: list[str], form: tuple[str, ...]
) -> None:
    done = fresh.run([*DOCTOR, "--offline", *form], {**ON, **variables})
    assert "E2B_" in done.stdout
    printed = (done.stdout + done.stderr).lower()
    assert [secret for secret in secrets if secret.lower() in printed] == []


def test_for_people_each_finding_is_one_line_with_a_next_step() -> None:
    done = fresh.run(
        [*DOCTOR, "--offline"],
        {**ON, "KRUISE_E2B_HTTPS": "x", "E2B_SANDBOX_URL": "http://x\x1b[2J"},
    )
    *lines, empty, summary = done.stdout.splitlines()
    assert (done.returncode, empty, summary) == (1, "", "1 problem was found.")
    assert {line.split()[0] for line in lines} == {"ok", "note", "problem"}
    (problem,) = [line for line in lines if line.startswith("problem")]
    assert "KRUISE_E2B_HTTPS" in problem
    assert " Next: " in problem
    assert "\x1b" not in done.stdout


def test_without_a_problem_it_says_so_and_exits_with_0() -> None:
    done = fresh.run([*DOCTOR, "--offline"], ON)
    assert done.returncode == 0
    assert done.stdout.endswith("\nNo problem was found.\n")
