"""``kruise-autopatch url``."""

from __future__ import annotations

import pytest

from support import fresh

URL = ("-m", "kruise_autopatch", "url")

PRIVATE = "https://sandbox.example.com/kruise/ns--name/3000/?next=%2Fa%20b#here"
NATIVE = "https://3000-ns--name.sandbox.example.com/?next=%2Fa%20b#here"


def test_each_url_is_printed_in_its_other_form() -> None:
    done = fresh.run([*URL, PRIVATE, NATIVE])
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{NATIVE}\n{PRIVATE}\n", "")


@pytest.mark.parametrize(
    ("host", "other"),
    [
        ("sandbox.example.com/kruise/ns--name/3000", "3000-ns--name.sandbox.example.com"),
        (
            "sandbox.example.com:8443/kruise/s1/80/?a=b://c",
            "80-s1.sandbox.example.com:8443/?a=b://c",
        ),
    ],
)
def test_what_get_host_returns_needs_no_scheme(host: str, other: str) -> None:
    assert fresh.run([*URL, host, other]).stdout == f"{other}\n{host}\n"
    assert fresh.run([*URL, "--no-https", host]).stdout == f"http://{other}\n"


@pytest.mark.parametrize(("option", "scheme"), [("--https", "https"), ("--no-https", "http")])
def test_the_scheme_can_be_chosen(option: str, scheme: str) -> None:
    done = fresh.run([*URL, option, "http://api.a.b/x", "https://api.a.b/x"])
    assert done.stdout == f"{scheme}://a.b/kruise/api/x\n" * 2


def test_a_url_without_another_form_is_refused_and_nothing_is_printed() -> None:
    done = fresh.run([*URL, PRIVATE, "https://a.b/kruise/api-team--x/80/"])
    assert (done.returncode, done.stdout) == (2, "")
    assert "kruise-autopatch url: error: 'https://a.b/kruise/api-team--x/80/' leads" in done.stderr
    assert "begins with 'api'" in done.stderr
    assert len(done.stderr.splitlines()) <= 2


def test_what_docs_show_is_what_it_prints() -> None:
    private = "https://sandbox.example.com/kruise/ns--name/3000/"
    done = fresh.run([*URL, private, "https://api.sandbox.example.com/sandboxes"])
    assert done.stdout.splitlines() == [
        "https://3000-ns--name.sandbox.example.com/",
        "https://sandbox.example.com/kruise/api/sandboxes",
    ]
