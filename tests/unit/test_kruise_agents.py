"""What OpenKruise's documentation imports does what it says there."""

from __future__ import annotations

import pytest

import kruise_autopatch
from kruise_autopatch import ConfigurationError, KruiseAutopatchError, decode_api_key
from kruise_autopatch.kruise_agents import patch_e2b
from kruise_autopatch.kruise_agents.keys import encode_for_e2b_sdk
from kruise_autopatch.kruise_agents.patch_traffic_token import patch_traffic_access_token
from kruise_autopatch.kruise_agents.traffic_token import TrafficAccessTokenExpired
from support import fresh
from support.programs import ON


def test_patch_e2b_is_the_one_of_the_package() -> None:
    assert patch_e2b.patch_e2b is kruise_autopatch.patch_e2b


def test_the_names_of_the_package() -> None:
    assert {"patch_e2b", "unpatch_e2b", "status"} < set(dir(kruise_autopatch))
    with pytest.raises(AttributeError, match="'kruise_autopatch' has no attribute 'patch_e3b'"):
        kruise_autopatch.patch_e3b  # noqa: B018


def test_a_key_is_encoded_once_however_often_it_is_asked_for() -> None:
    encoded = encode_for_e2b_sdk("some-api-key")
    assert decode_api_key(encoded) == "some-api-key"
    assert encode_for_e2b_sdk(encoded) == encoded


def test_tokens_that_nobody_renews_are_an_error() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        patch_traffic_access_token()
    assert str(refusal.value) == (
        "patch_traffic_access_token() was called, but the private protocol is off, and traffic"
        " tokens are renewed on it alone; call patch_e2b() first, or set KRUISE_E2B_PATCH=1."
    )


def test_where_the_private_protocol_is_on_they_are_renewed_anyway() -> None:
    code = """
from kruise_autopatch.kruise_agents.patch_traffic_token import patch_traffic_access_token
result = patch_traffic_access_token()
"""
    assert fresh.value(code, ON) is None


def test_the_error_of_a_token_is_one_of_ours() -> None:
    assert issubclass(TrafficAccessTokenExpired, KruiseAutopatchError)
