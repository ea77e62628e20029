"""When the matrix may say that an error is the stock SDK's."""

from __future__ import annotations

import pytest

from matrix.verdicts import _the_same_natively

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
