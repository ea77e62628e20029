"""What becomes of the server's answer to a request for a token; and what is read of a JWT."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kruise_autopatch.tokens import jwt as reader
from kruise_autopatch.tokens.reply import LONGEST, Answer, created, judge, unreachable
from kruise_autopatch.tokens.state import Failure, Token
from tokens.clock import SANDBOX, jwt, reply, rfc3339

NOW = 1_800_000_000.0
LATER = NOW + 600
GOOD = jwt(LATER, sandbox={"sandboxId": SANDBOX, "sandboxUid": "u"})
GOOD_BODY = reply(GOOD, rfc3339(LATER)).body

NO_TOKEN = "the server's reply holds no token"
NO_EXPIRATION = "the server's reply holds no expiration with a time zone"
DISAGREE = "the token and the server's reply disagree about its expiration"
EXPIRED = "the server sent a token that has expired already; compare the clocks"
OF_ANOTHER = "the server's reply is for another sandbox"
NOT_JSON = "the server's reply is not JSON"
NO_OBJECT = "the server's reply is not a JSON object"
TOO_LONG = "the server's reply is longer than 65536 bytes"


def failure(answer: Answer) -> Failure:
    outcome = judge(answer, SANDBOX, NOW)
    assert isinstance(outcome, Failure)
    return outcome


@pytest.mark.parametrize(
    "token",
    [
        GOOD,
        jwt(LATER),
        jwt(LATER, sandbox="odd"),
        jwt(LATER, sandbox={"sandboxId": 7}),
        "opaque",
    ],
    ids=["bound", "unbound", "oddly bound", "bound to a number", "opaque"],
)
@pytest.mark.parametrize("skew", [-5, 0, 5])
def test_a_good_reply_gives_a_token_with_the_earlier_expiry(token: str, skew: int) -> None:
    outcome = judge(reply(token, rfc3339(LATER + skew)), SANDBOX, NOW)
    expected = LATER + skew if token == "opaque" else LATER + min(skew, 0)
    assert outcome == Token(token, expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2027-01-15T08:10:00Z", LATER),
        ("2027-01-15t08:10:00z", LATER),
        ("2027-01-15T08:10:00.000000001Z", LATER + 1e-9),
        ("2027-01-15T10:10:00+02:00", LATER),
        ("2027-01-15T03:40:00.5-04:30", LATER + 0.5),
        ("2126-08-01T00:00:00Z", 4_941_216_000.0),
    ],
)
def test_the_expiration_may_be_written_in_every_way_of_rfc_3339(text: str, expected: float) -> None:
    assert judge(reply("opaque", text), SANDBOX, NOW) == Token("opaque", expected)


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="no other time zone for one process")
def test_the_time_zone_of_the_machine_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        monkeypatch.setenv("TZ", "TEST-9")
        time.tzset()
        for text in ("2027-01-15T08:10:00Z", "2027-01-15T17:10:00+09:00"):
            assert judge(reply("opaque", text), SANDBOX, NOW) == Token("opaque", LATER)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (reply(None, rfc3339(LATER)), NO_TOKEN),
        (reply("", rfc3339(LATER)), NO_TOKEN),
        (reply(7, rfc3339(LATER)), NO_TOKEN),
        (reply("a\r\nHost: evil", rfc3339(LATER)), NO_TOKEN),
        (reply("tökén", rfc3339(LATER)), NO_TOKEN),
        (reply(GOOD, None), NO_EXPIRATION),
        (reply(GOOD, 1_800_000_600), NO_EXPIRATION),
        (reply(GOOD, "soon"), NO_EXPIRATION),
        (reply(GOOD, "2027-01-15T08:10:00"), NO_EXPIRATION),
        (reply(GOOD, "2027-02-30T08:10:00Z"), NO_EXPIRATION),
        (reply(GOOD, rfc3339(LATER + 6)), DISAGREE),
        (reply(GOOD, rfc3339(LATER - 6)), DISAGREE),
        (reply(jwt(NOW), rfc3339(NOW)), EXPIRED),
        (reply("opaque", rfc3339(NOW - 1)), EXPIRED),
        (reply(jwt(LATER, sandbox={"sandboxId": "b"}), rfc3339(LATER)), OF_ANOTHER),
        (Answer(200, b""), NOT_JSON),
        (Answer(200, b"<html>"), NOT_JSON),
        (Answer(200, b"\xff"), NOT_JSON),
        (Answer(200, b"[" * 50_000), NOT_JSON),
        (Answer(200, b"[]"), NO_OBJECT),
        (Answer(200, GOOD_BODY.ljust(LONGEST + 1)), TOO_LONG),
    ],
)
def test_a_malformed_reply_is_a_failure_that_may_pass(answer: Answer, reason: str) -> None:
    assert failure(answer) == Failure(reason, permanent=False)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 422])
def test_a_refusal_is_permanent(status: int) -> None:
    assert failure(Answer(status, b"")) == Failure(f"the server answered {status}", True)


@pytest.mark.parametrize("status", [201, 204, 302, 408, 409, 425, 429, 500, 502, 503, 504])
def test_other_statuses_may_pass(status: int) -> None:
    assert failure(Answer(status, b"")) == Failure(f"the server answered {status}", False)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("12", 12),
        (" 12 ", 12),
        ("-12", 0),
        ("1.5", 0),
        ("soon", 0),
        ("9" * 400, 999_999_999),
        ("Fri, 15 Jan 2027 08:01:00 GMT", 60),
        ("Fri, 15 Jan 2027 07:59:00 GMT", 0),
        ("Fri, 99 Jan 2027 07:59:00 GMT", 0),
    ],
)
def test_retry_after(header: str | None, seconds: float) -> None:
    assert failure(Answer(503, b"", header)).retry_after == seconds


def test_a_server_that_is_not_there_may_come_back() -> None:
    assert unreachable(ConnectionError("refused")) == Failure(
        "the server could not be asked (ConnectionError: refused)"
    )


def test_no_failure_and_no_repr_repeats_what_the_server_sent() -> None:
    body = json.dumps({"trafficAccessToken": "s3cr3t", "message": "s3cr3t"}).encode()
    for status in (200, 404, 503):
        answer = Answer(status, body)
        assert "s3cr3t" not in f"{answer!r} {judge(answer, SANDBOX, NOW)!r}"
    assert "s3cr3t" not in repr(judge(reply("s3cr3t", rfc3339(LATER)), SANDBOX, NOW))


@settings(database=None)
@given(st.binary())
def test_no_body_raises(body: bytes) -> None:
    assert isinstance(judge(Answer(200, body), SANDBOX, NOW), Failure)


@settings(database=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.one_of(st.none(), st.text(), st.datetimes().map(lambda moment: f"{moment.isoformat()}Z")),
)
def test_no_fields_raise(token: object, expiration: object) -> None:
    judge(reply(token, expiration), SANDBOX, NOW)


def test_a_reply_that_just_fits_is_read() -> None:
    assert judge(Answer(200, GOOD_BODY.ljust(LONGEST)), SANDBOX, NOW) == Token(GOOD, LATER)


# --- the reply that created the sandbox ----------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "expires_at"),
    [
        (GOOD, LATER),
        (jwt(LATER), LATER),
        # That is the state machine's business.
        (jwt(NOW - 1), NOW - 1),
        ("opaque", None),
        (jwt(None), None),
    ],
)
def test_its_token_is_taken(token: str, expires_at: float | None) -> None:
    assert created(token, SANDBOX) == Token(token, expires_at)


@pytest.mark.parametrize(
    "token",
    ["", "a b", "a\r\nHost: evil", "a\x00", "tök", jwt(LATER, sandbox={"sandboxId": "b"})],
)
def test_but_not_one_that_must_not_be_sent(token: str) -> None:
    assert created(token, SANDBOX) is None


# --- JWT -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("expires_at", [LATER, 1.5, 0, -1])
def test_the_expiry_of_a_jwt_is_read(expires_at: float) -> None:
    assert reader.read(jwt(expires_at)) == reader.Claims(expires_at, None)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "opaque",
        "a.b",
        "a.b.c.d",
        "a.!!!.c",
        "..",
        jwt(None),
        jwt(None, exp="soon"),
        jwt(None, exp=True),
        jwt(None, exp=None),
        jwt(None, exp=float("inf")),
        jwt(None, exp=float("nan")),
        jwt(None, exp=10**400),
        f"a.{jwt(1).split('.')[1]}.c.d",
        "a.W10.c",
    ],
)
def test_anything_else_is_opaque(token: str) -> None:
    assert reader.read(token) is None


@settings(database=None)
@given(st.text() | st.text().map(lambda text: f"a.{text}.c"))
def test_no_text_raises(token: str) -> None:
    reader.read(token)
