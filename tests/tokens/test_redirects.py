"""No request of a private sandbox follows a redirect to another authority, in any SDK release."""

from __future__ import annotations

import sys

import pytest

from tokens import redirects


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_no_request_follows_a_redirect(mode: str) -> None:
    assert redirects.problems(sys.executable, mode) == []
