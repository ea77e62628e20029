"""Encoded API keys: vectors of the server, and everything that must be refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kruise_autopatch import ConfigurationError, decode_api_key, encode_api_key
from kruise_autopatch.api_keys import is_encoded

KEY = "some-api-key"
# From openkruise/agents.
ENCODED = "e2b_6f6b6167010000000c736f6d652d6170692d6b657947a2e62d3ce60d6d"


def test_the_encoded_form_is_told_by_its_look() -> None:
    assert is_encoded(ENCODED)
    assert is_encoded(ENCODED[:-1] + "e")
    assert not is_encoded(KEY)


def test_the_vector_of_the_server() -> None:
    assert encode_api_key(KEY) == ENCODED
    assert decode_api_key(ENCODED) == KEY


@settings(database=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_every_key_comes_back(key: str) -> None:
    assert decode_api_key(encode_api_key(key)) == key


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        ("", "not an encoded API key"),
        (KEY, "not an encoded API key"),
        ("e2b_" + "0" * 40, "not an encoded API key"),
        (ENCODED.upper(), "not an encoded API key"),
        (ENCODED + "\n", "not an encoded API key"),
        (ENCODED.replace("616701", "616702"), "not an encoded API key"),
        (ENCODED[:-1], "not an encoded API key"),
        (ENCODED[:-2], "has 12 bytes, but holds 11"),
        (ENCODED + "00", "has 12 bytes, but holds 13"),
        (ENCODED.replace("0000000c", "0000000b"), "has 11 bytes, but holds 12"),
        ("e2b_6f6b61670100000000" + "0" * 16, "has 0 bytes"),
        (ENCODED[:-1] + "e", "wrong checksum"),
        (ENCODED.replace("736f", "746f"), "wrong checksum"),
    ],
)
def test_what_is_damaged_is_refused(encoded: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        decode_api_key(encoded)


@settings(database=None)
@given(st.integers(4, len(ENCODED) - 1), st.sampled_from("0123456789abcdef"))
def test_no_digit_can_be_changed_unnoticed(position: int, digit: str) -> None:
    changed = ENCODED[:position] + digit + ENCODED[position + 1 :]
    if changed != ENCODED:
        with pytest.raises(ConfigurationError):
            decode_api_key(changed)


def test_a_key_that_is_not_text_is_refused() -> None:
    import hashlib

    raw = b"\xff"
    checksum = hashlib.sha256(b"openkruise-agents/e2b-key-compat/v1" + raw).hexdigest()[:16]
    with pytest.raises(ConfigurationError, match="does not hold text"):
        decode_api_key(f"e2b_6f6b61670100000001{raw.hex()}{checksum}")


def test_an_empty_key_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="empty"):
        encode_api_key("")


def test_no_message_repeats_a_key() -> None:
    for encoded in (KEY, ENCODED + "00", ENCODED[:-1] + "e"):
        with pytest.raises(ConfigurationError) as caught:
            decode_api_key(encoded)
        assert KEY not in str(caught.value)
        assert ENCODED[20:] not in str(caught.value)
