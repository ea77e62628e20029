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
    from . import LocalManager
    from .control import Fault


class LocalServer:
    """The local sandbox-manager, as one test sees it."""

    def __init__(self, manager: LocalManager) -> None:
        from kruise_autopatch import protocol

        self._manager = manager
        self._start = manager.mark()
        self.url = manager.url
        self.api_url = protocol.api_url(*manager.url.split("://"))
        self.domain = manager.domain
        self.api_key = manager.api_key

    def environment(self) -> dict[str, str]:
        """The variables that lead an SDK here; for a program that does not inherit the test's."""
        return self._manager.environment()

    def requests(self) -> list[dict[str, Any]]:
        """The requests that the server has begun to answer since the test began."""
        return self._manager.requests(since=self._start)

    def fault(
        self, kind: str, *, seconds: float = 0.0, path: str = "*", times: int | None = None
    ) -> Fault:
        """Within a `with` block, let something go wrong: see `LocalManager.fault`."""
        return self._manager.fault(kind, seconds=seconds, path=path, times=times)


@pytest.fixture(scope="session")
def kruise_autopatch_server() -> Iterator[LocalManager]:
    """The local sandbox-manager of this run. Override it to give ``LocalManager`` options."""
    from . import LocalManager, LocalManagerError

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
    """A local sandbox-manager, to which the E2B SDK of this test leads."""
    server = LocalServer(kruise_autopatch_server)
    variables = dict(os.environ)
    # The test's own `monkeypatch`: undone in one order, whichever of the two was first.
    _lead_to(server, monkeypatch)
    if find_spec("e2b") is None:
        # Nothing to patch here. The programs that the test starts may have it.
        yield server
    else:
        with _patched(server.url.startswith("https:"), variables):
            yield server


def _lead_to(server: LocalServer, variables: pytest.MonkeyPatch) -> None:
    from kruise_autopatch.variables import LEADING_ELSEWHERE

    for name in LEADING_ELSEWHERE:
        variables.delenv(name, raising=False)
    for name, value in server.environment().items():
        variables.setenv(name, value)
    direct = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if direct.strip() != "*":
        host = server.domain.rpartition(":")[0]
        for name in ("no_proxy", "NO_PROXY"):
            variables.setenv(name, f"{direct},{host}".lstrip(","))


@contextmanager
def _patched(https: bool, before: Mapping[str, str]) -> Iterator[None]:
    """Patch the SDK, imported or not, and leave it as it was with the variables ``before``."""
    from kruise_autopatch import patch_e2b, settings, status, unpatch_e2b

    previous = status()
    patch_e2b(https=https)
    try:
        yield
    finally:
        if previous.enabled:
            # What patch_e2b takes from the variables, it is to take from those of before.
            with pytest.MonkeyPatch.context() as environment:
                for variable in settings.VARIABLES:
                    environment.setenv(variable.name, before.get(variable.name, ""))
                chosen = previous.settings or settings.from_environment(before)
                patch_e2b(https=chosen.https, validate_key=chosen.validate_key)
        else:
            unpatch_e2b()
