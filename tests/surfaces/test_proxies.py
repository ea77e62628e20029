"""Proxies, from the environment or as an argument, of the native and of the patched SDK."""

from __future__ import annotations

import sys

import pytest

from surfaces import proxies


@pytest.mark.parametrize("way", proxies.WAYS)
def test_the_patched_sdk_uses_the_proxy_when_the_native_one_does(
    way: str, certificates: dict[str, str]
) -> None:
    assert proxies.problems(sys.executable, way, certificates) == []


def test_an_explicit_proxy_sees_every_request_in_its_private_form(
    certificates: dict[str, str],
) -> None:
    requests = proxies.seen(sys.executable, "proxy=", True, certificates)
    # The API, a file, two RPCs; by the sync and by the async client.
    assert len(requests) == 8
    assert all(request.endswith(" by proxy") for request in requests)
    assert all(request.split()[1].startswith("/kruise/") for request in requests)
