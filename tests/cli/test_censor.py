"""No key, token or password gets past the doctor's censor, in whatever form it turns up."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable
from itertools import cycle
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kruise_autopatch import encode_api_key
from kruise_autopatch.cli.doctor.censor import Censor

Writer = Callable[[str], str]

# Every form below changes something of it.
KEY = "Secret/Key+with=odd&chars'\"<%20\\ü"
PASSWORD = "Pass@wo/rd"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"

FORMS = {
    "as it is": KEY,
    "upper case": KEY.upper(),
    "lower case": KEY.lower(),
    "in a path": quote(KEY),
    "in a query": quote(KEY, safe=""),
    "in a form": quote_plus(KEY),
    "repr": repr(KEY),
    "JSON": json.dumps(KEY),
    "JSON, slashes escaped": KEY.replace("/", "\\/"),
    "HTML": html.escape(KEY),
    "HTML, quotes left": html.escape(KEY, quote=False),
    "hexadecimal": KEY.encode().hex(),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "base64 for URLs": base64.urlsafe_b64encode(KEY.encode()).decode(),
    "encoded for the SDK": encode_api_key(KEY),
    "Go's JSON": json.dumps(KEY).replace("&", "\\u0026").replace("<", "\\u003c"),
    "JSON in JSON": json.dumps(json.dumps(KEY)[1:-1]),
    "HTML, by a hand that escapes less": KEY.replace("<", "&lt;").replace('"', "&#34;"),
    "HTML, numbers": "".join(f"&#{ord(letter)};" for letter in KEY),
    "HTML, a part of it marked": f"{html.escape(KEY[:9])}<b class='key'>{html.escape(KEY[9:])}",
    "quoted twice": quote(quote(KEY)),
    "JavaScript": KEY.replace("'", "\\x27").replace("&", "\\u{26}"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["E2B_API_KEY", "E2B_ACCESS_TOKEN"])
def test_a_known_secret_is_hidden_in_every_form(name: str, form: str) -> None:
    text = Censor({name: KEY})(f"no such key: {FORMS[form]} (see the manual)")
    (middle,) = [text[len("no such key: ") : -len(" (see the manual)")]]
    assert middle.strip("'\"=") == f"<{name}>"


WRITERS = [
    str,
    quote,
    html.escape,
    lambda letter: json.dumps(letter)[1:-1],
    lambda letter: f"\\u{ord(letter):04X}",
    lambda letter: f"&#x{ord(letter):x};",
    lambda letter: f"<i>{html.escape(letter)}</i>",
]


# Backslashes around a key are no part of it for the censor.
KEYS = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=12).filter(
    lambda key: key.strip("\\") == key and len(key.replace("\\", "")) > 6
)


@settings(deadline=None)
@given(
    KEYS,
    st.lists(st.sampled_from(WRITERS), min_size=1),
)
def test_no_mixture_of_writers_shows_a_part_of_it(key: str, writers: list[Writer]) -> None:
    written = "".join(write(letter) for write, letter in zip(cycle(writers), key))
    shown = Censor({"E2B_API_KEY": key})(f"no such key: {written} (see the manual)")
    assert re.fullmatch(r"no such key: \S*<E2B_API_KEY>\S* \(see the manual\)", shown), shown
    around = shown.replace("no such key: ", "").replace(" (see the manual)", "")
    # Tags and backslashes that stood before or behind it.
    assert re.sub(r"</?i>", "", around).strip("\\") == "<E2B_API_KEY>"


@pytest.mark.parametrize("other", [encode_api_key, lambda key: f"{key}\n", lambda key: f" {key} "])
def test_the_raw_form_of_a_key_is_hidden_too(other: object) -> None:
    value = other("some-api-key")  # type: ignore[operator]
    assert Censor({"E2B_API_KEY": value})("is it some-api-key?") == "is it <E2B_API_KEY>?"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("E2B_DOMAIN", f"user:{PASSWORD}@kruise.test"),
        ("KRUISE_E2B_SANDBOX_DOMAIN", f"user:{PASSWORD}@kruise.test"),
        ("E2B_API_URL", f"https://user:{PASSWORD}@kruise.test/kruise/api"),
        ("HTTPS_PROXY", f"http://user:{PASSWORD}@proxy.test:3128"),
        ("https_proxy", f"user:{quote(PASSWORD, safe='')}@proxy.test:3128"),
    ],
)
def test_the_password_of_a_url_is_hidden(name: str, value: str) -> None:
    censor = Censor({name: value})
    for text in (
        f"{name}={value} is wrong",
        f"{name}={value!r} is wrong",
        f"the password {PASSWORD} is wrong",
        f"Proxy-Authorization: Basic {base64.b64encode(f'user:{PASSWORD}'.encode()).decode()}",
        quote(f"http://user:{PASSWORD}@proxy.test", safe=""),
    ):
        shown = censor(text)
        assert "wo/rd" not in shown
        assert "wo%2Frd" not in shown
        assert base64.b64encode(b"user:Pass@wo").decode()[:12] not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at https://user:p@ss@host/x", "at https://<user>@host/x"),
        (f"token {JWT} refused", "token <token> refused"),
        (f"cut off: {JWT[:18]}", "cut off: <token>"),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer <token>"),
        ("key e2b_0123456789abcdef here", "key <key> here"),
        ("token sk_e2b_0123456789abcdef here", "token <key> here"),
        ("https://h/?state=abc&code=1234, then", "https://h/?state=<hidden>&code=<hidden>, then"),
        ("https://h/#access_token=abc", "https://h/#access_token=<hidden>"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, shown: str) -> None:
    assert Censor({})(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "GET https://kruise.test/kruise/api/v2/sandboxes?limit=1: 200",
        "E2B_DOMAIN=sandbox.example.com:8443",
        "e2b 2.63.0: 23 patch points applied",
        "e2b_code_interpreter.code_interpreter_sync:Sandbox._client: applied",
        "basic login",
    ],
)
def test_everything_else_is_left_as_it_is(text: str) -> None:
    environment = {"E2B_API_KEY": "some-api-key", "E2B_DOMAIN": "kruise.test", "PATH": "/usr/bin"}
    assert Censor(environment)(text) == text


def test_a_very_short_key_does_not_blacken_ordinary_words() -> None:
    assert Censor({"E2B_API_KEY": "none"})("site-packages: none") == "site-packages: none"


def test_a_text_becomes_one_line_that_cannot_steer_a_terminal() -> None:
    assert (
        Censor({})("a\r\nb\x1b[2J\x07")
        == "a b\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}"
    )


@pytest.mark.parametrize(
    ("environment", "text", "shown"),
    [
        ({"E2B_API_KEY": "secret"}, "secret", "<E2B_API_KEY>"),
        ({"E2B_API_KEY": "secre"}, "secre", "secre"),
        ({"E2B_API_KEY": "some-key"}, "some-keysome-key!", "<E2B_API_KEY><E2B_API_KEY>!"),
        # The longer one is the one that is meant.
        (
            {"E2B_API_KEY": "some-key", "E2B_ACCESS_TOKEN": "some-key-and-more"},
            "some-key-and-more, some-key",
            "<E2B_ACCESS_TOKEN>, <E2B_API_KEY>",
        ),
        ({"E2B_API_KEY": "some-key another-key"}, "is it another-key?", "is it <E2B_API_KEY>?"),
        # base64 without its padding.
        ({"E2B_API_KEY": "some-api-key!"}, "c29tZS1hcGkta2V5IQ", "<E2B_API_KEY>"),
        ({"E2B_API_KEY": "secret\U0010ffff"}, "secret&#1114111;", "<E2B_API_KEY>"),
        ({"E2B_API_KEY": "some-key"}, "&#1114112; \\u{110000}", "&#1114112; \\u{110000}"),
        # What is no UTF-8 in the environment.
        ({"E2B_API_KEY": "secret\udcff"}, "secret\udcff", "<E2B_API_KEY>"),
        ({"E2B_API_KEY": "secret\udcff"}, "736563726574ff", "<E2B_API_KEY>"),
        ({"E2B_API_KEY": "secret\udcff"}, "secret%FF", "<E2B_API_KEY>"),
    ],
)
def test_where_a_secret_begins_and_ends(environment: dict[str, str], text: str, shown: str) -> None:
    assert Censor(environment)(text) == shown


@pytest.mark.parametrize(
    ("url", "text", "shown"),
    [
        ("http://u:abcdef@proxy.test", "abcdef, u:abcdef", "<password>, <user>"),
        ("http://u:abcd@proxy.test", "abcd, u:abcd, u:abcd@host", "abcd, <user>, <user>@host"),
        ("http://u:half:another@proxy.test", "half:another", "<password>"),
        ("http://u:pass%2Fword@proxy.test", "pass/word, u:pass/word", "<password>, <user>"),
        ("u:password@proxy.test", "password", "<password>"),
        # A user's name alone is no secret, but is left out of URLs.
        ("http://somebody@proxy.test", "somebody, somebody@host", "somebody, <user>@host"),
        ("http://a@b", "hello", "hello"),
    ],
)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "E2B_API_URL", "KRUISE_E2B_DOMIAN", "my_proxy"])
def test_which_part_of_a_url_is_a_secret(name: str, url: str, text: str, shown: str) -> None:
    assert Censor({name: url})(text) == shown


def test_an_address_in_any_other_variable_is_none() -> None:
    assert Censor({"EMAIL": "somebody@kruise.test"})("to somebody@host") == "to somebody@host"
