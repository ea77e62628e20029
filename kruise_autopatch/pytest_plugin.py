"""pytest's plugin: the fixture ``kruise_autopatch``, a local sandbox-manager for tests.

pytest loads this module in every run of an environment that has the package. So it imports
nothing that is not there already; the rest is imported by the tests that use the fixture.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kruise_autopatch.local import LocalManager

# Each of them would lead the SDK past the local sandbox-manager.
_ELSEWHERE = (
    "E2B_API_URL",
    "E2B_SANDBOX_URL",
    "E2B_VOLUME_API_URL",
    "E2B_DEBUG",
    "KRUISE_E2B_SANDBOX_DOMAIN",
)


class LocalServer:
    """The local sandbox-manager, as one test sees it."""

    def __init__(self, manager: LocalManager) -> None:
        self._manager = manager
        self._start = manager.mark()
        self.url = manager.url
        self.api_url = f"{manager.url}/kruise/api"
        self.domain = manager.domain
        self.api_key = manager.api_key

    def environment(self) -> dict[str, str]:
        """The variables that lead an SDK here; for a program that does not inherit the test's."""
        return self._manager.environment()

    def requests(self) -> list[dict[str, Any]]:
        """The requests that the server has begun to answer since the test began."""
        return self._manager.requests(since=self._start)


@pytest.fixture(scope="session")
def kruise_autopatch_server() -> Iterator[LocalManager]:
    """The local sandbox-manager of this run. Override it to give ``LocalManager`` options."""
    from kruise_autopatch.local import LocalManager, LocalManagerError

    try:
        manager = LocalManager()
    except LocalManagerError as error:
        pytest.fail(str(error), pytrace=False)
    with manager:
        yield manager


@pytest.fixture
def kruise_autopatch(
    kruise_autopatch_server: LocalManager, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LocalServer]:
    """A local sandbox-manager, to which the E2B SDK of this test leads. It isolates nothing."""
    server = LocalServer(kruise_autopatch_server)
    # The test's own `monkeypatch`: undone in one order, whichever of the two was first.
    with _restored_patches():
        _lead_to(server, monkeypatch)
        _patch(server)
        yield server


def _lead_to(server: LocalServer, variables: pytest.MonkeyPatch) -> None:
    for name in _ELSEWHERE:
        variables.delenv(name, raising=False)
    for name, value in server.environment().items():
        variables.setenv(name, value)
    direct = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if direct.strip() != "*":
        host = server.domain.rpartition(":")[0]
        for name in ("no_proxy", "NO_PROXY"):
            variables.setenv(name, f"{direct},{host}".lstrip(","))


def _patch(server: LocalServer) -> None:
    """Patch the SDK of this process, which may be imported; none at all is right, too."""
    if find_spec("e2b") is not None:
        from kruise_autopatch.activation import patch_e2b

        patch_e2b(https=server.url.startswith("https:"))


@contextmanager
def _restored_patches() -> Iterator[None]:
    """Leave the SDK as it was before: native, or with the settings that it had."""
    from kruise_autopatch import settings
    from kruise_autopatch.activation import patch_e2b, status, unpatch_e2b

    before = status()
    variables = {v.name: os.environ.get(v.name, "") for v in settings.VARIABLES}
    try:
        yield
    finally:
        if before.enabled and find_spec("e2b") is not None:
            chosen = before.settings or settings.from_environment(variables)
            with _set(variables):
                patch_e2b(https=chosen.https, validate_key=chosen.validate_key)
        else:
            unpatch_e2b()


@contextmanager
def _set(variables: Mapping[str, str]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in variables.items():
            environment.setenv(name, value)
        yield
