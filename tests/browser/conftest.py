"""Only where noVNC's pages were made before: see the environment ``browser`` of tox.ini."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import loopback

from .chromium import Chromium, installed, running

PAGES = os.environ.get("KRUISE_TEST_NOVNC")

collect_ignore_glob = [] if PAGES else ["test_*.py"]

NOT_INSTALLED = "Chromium is not installed: on Debian, apt-get install chromium"


@pytest.fixture(scope="session")
def pages() -> Path:
    """A directory with one of noVNC's pages for each release."""
    assert PAGES is not None
    return Path(PAGES)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    program = installed()
    if program is None and os.environ.get("CI"):
        pytest.fail(NOT_INSTALLED)
    if program is None:
        pytest.skip(NOT_INSTALLED)
    # It asks, and sends nothing, whether there is a way to IPv6.
    loopback.prohibit("2001:4860:4860::8888")
    with running(program) as browser:
        yield browser
