"""What is easily missed: used for real, or refused by the sandbox-manager and nobody else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fresh
import pytest

from kruise_autopatch.local import LocalManager

PROGRAM = Path(__file__).with_name("seldom.py")

EXPECTED = {
    "download_url": [200, "héllo"],
    "a forged link": 401,
    "upload_url": [200, "uploaded"],
    "get_host": [200, "/a%20b?x=1"],
    "files.read, streaming": 1_000_000,
    "pty": True,
    "pause": "paused",
    "connect on the instance": "running",
    "after the resume": "on\n",
    "list, page by page": True,
}

# No OpenKruise server has a route for these; some SDK releases have none of them either.
NOT_SERVED = {
    "get_metrics",
    "Template.build",
    "create_snapshot",
    "fork",
    "Volume.create",
    "Secret.create",
}


@pytest.fixture(scope="module", params=["sync", "async"])
def use(request: pytest.FixtureRequest) -> Iterator[tuple[dict[str, Any], LocalManager]]:
    with LocalManager() as manager:
        done = fresh.run([str(PROGRAM), request.param], manager.environment())
        assert done.returncode == 0, done.stderr
        yield json.loads(done.stdout.splitlines()[-1]), manager


@pytest.mark.parametrize("name", EXPECTED)
def test_it_works(use: tuple[dict[str, Any], LocalManager], name: str) -> None:
    results, _ = use
    assert results[name] == EXPECTED[name]


def test_a_subclass_of_sandbox_works(use: tuple[dict[str, Any], LocalManager]) -> None:
    results, manager = use
    assert results["a subclass"] == f"{manager.domain}/kruise/{results['id']}/80".upper()


def test_what_is_not_served_is_an_error(use: tuple[dict[str, Any], LocalManager]) -> None:
    results, _ = use
    asked = NOT_SERVED & set(results)
    assert {"get_metrics", "Template.build"} <= asked
    assert [name for name in asked if results[name] == "no error"] == []


def test_every_request_went_to_the_one_host(use: tuple[dict[str, Any], LocalManager]) -> None:
    _, manager = use
    requests = manager.requests()
    assert {request["host"] for request in requests} == {manager.domain}
    assert all(request["path"].startswith("/kruise/") for request in requests)
