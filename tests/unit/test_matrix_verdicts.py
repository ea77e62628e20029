"""What the matrix makes of what happened, and when an error is the stock SDK's."""

from __future__ import annotations

from typing import Any

import pytest

from matrix import verdicts
from matrix.verdicts import _http2, _the_same_natively
from surfaces.tables import GROUPS

BROKEN = "TypeError: get_transport() got an unexpected keyword argument 'http2'"
NOT_REACHED = "NotReachedError: create failed"


@pytest.mark.parametrize(
    ("errors", "native", "same"),
    [
        ({"run_code": BROKEN}, {"run_code": BROKEN}, True),
        ({"run_code": BROKEN, "context": NOT_REACHED}, {"run_code": BROKEN}, True),
        # With the switch off no server lets the step begin, but another one meets the error.
        ({"E2B": BROKEN}, {"E2B": NOT_REACHED, "run_code": BROKEN}, True),
        ({"E2B": BROKEN}, {"E2B": NOT_REACHED, "run_code": "TypeError: another"}, False),
        ({"E2B": BROKEN}, {"run_code": BROKEN}, False),
        ({"run_code": BROKEN}, {"run_code": "TypeError: another"}, False),
        ({"run_code": BROKEN}, {}, False),
        # What a server, an address or a setting may cause proves nothing.
        ({"list": "ConnectError: refused"}, {"list": "ConnectError: refused"}, False),
        ({"context": NOT_REACHED}, {"context": NOT_REACHED}, False),
    ],
)
def test_an_error_is_the_sdk_s_own_if_it_comes_with_the_switch_off(
    errors: dict[str, str], native: dict[str, str], same: bool
) -> None:
    assert _the_same_natively(errors, native) is same


HTTP1 = {"sync": {"API": ["1.1"], "commands": ["1.1"]}, "async": {"API": ["1.1"]}}
HTTP2 = {"sync": {"API": ["1.1"]}, "async": {"API": ["2"], "commands": ["1.1", "2"]}}


@pytest.mark.parametrize(
    ("e2b", "spoken", "word"),
    [
        ("2.8.0", HTTP1, verdicts.ABSENT),
        ("2.21.0", HTTP2, verdicts.PASSED),
        ("2.8.0", HTTP2, verdicts.FAILED),
        ("2.63.0", HTTP1, verdicts.FAILED),
    ],
)
def test_each_release_speaks_http2_or_not_as_is_known_of_it(
    e2b: str, spoken: dict[str, Any], word: str
) -> None:
    runs = [{"outcome": None}, {"outcome": {"versions": {"e2b": e2b}}}]
    assert _http2({"spoken": spoken, "runs": runs}).word == word


def report(protocol: str, **others: list[str]) -> dict[str, Any]:
    """Of an environment where the one conversation broke off."""
    run = {"protocol": protocol, "mode": "sync", "scheme": "https", "outcome": None}
    return {
        "runs": [{**run, "problem": "no end after 120 s"}],
        "stock": [],
        "escapes": 0,
        "proxies": [],
        "connections": [],
        "spoken": HTTP1,
        **others,
    }


@pytest.mark.parametrize(("protocol", "column"), [("private", "https"), ("native", "native")])
def test_a_conversation_counts_for_its_protocol_and_for_every_group(
    protocol: str, column: str
) -> None:
    found = verdicts.of(report(protocol))
    failed = verdicts.Verdict(verdicts.FAILED, (f"sync over {column}: no end after 120 s",))
    assert {found[name] for name in (column, *GROUPS)} == {failed}


def test_what_was_not_tried_has_no_verdict() -> None:
    assert not {"http", "native", "redirects"} & verdicts.of(report("private")).keys()
    assert verdicts.of(report("private", redirects=[]))["redirects"].word == verdicts.PASSED
    found = verdicts.of(report("private", redirects=["sync: 2 connections to elsewhere"]))
    assert found["redirects"] == verdicts.Verdict(
        verdicts.FAILED, ("sync: 2 connections to elsewhere",)
    )
