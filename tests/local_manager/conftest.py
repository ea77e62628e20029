"""One local sandbox-manager for all of these tests, and clients that speak to it.

The clients are httpx and whatever e2b is installed, both unpatched: a test that needs the SDK
names the sandbox's URL itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from kruise_autopatch_local import LocalManager

from .clients import PATIENTLY, Sandbox, bound


@pytest.fixture(scope="session")
def manager() -> Iterator[LocalManager]:
    with LocalManager(templates=["my-template"]) as manager:
        yield manager


@pytest.fixture(scope="session")
def plain(manager: LocalManager) -> Iterator[httpx.Client]:
    """A client without a key."""
    with httpx.Client(base_url=manager.url, **PATIENTLY) as client:
        yield client


@pytest.fixture(scope="session")
def api(manager: LocalManager) -> Iterator[httpx.Client]:
    """A client of the control plane, with the key."""
    with httpx.Client(
        base_url=f"{manager.url}/kruise/api",
        headers={"X-API-Key": manager.api_key},
        **PATIENTLY,
    ) as client:
        yield client


@pytest.fixture
def created(api: httpx.Client) -> Iterator[dict[str, Any]]:
    """A new sandbox, as the API describes it."""
    sandbox = api.post("/sandboxes", json={"templateID": "base", "timeout": 600}).json()
    yield sandbox
    api.delete(f"/sandboxes/{sandbox['sandboxID']}")


@pytest.fixture
def sandbox(manager: LocalManager, created: dict[str, Any]) -> Iterator[Sandbox]:
    with httpx.Client(**PATIENTLY) as client:
        yield Sandbox(manager, created, client)


@pytest.fixture
def sdk(sandbox: Sandbox, manager: LocalManager) -> Any:
    """The installed e2b's Sandbox, bound to a sandbox here without any patch."""
    e2b = pytest.importorskip("e2b")
    return bound(e2b.Sandbox, sandbox, manager)
