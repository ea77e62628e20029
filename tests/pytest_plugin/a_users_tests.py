"""Tests as a user writes them; test_fixture.py runs them, in several ways, as test_user.py.

``e2b`` is imported before any fixture is set up.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2b import AsyncSandbox, AuthenticationException, ConnectionConfig, Sandbox

from kruise_autopatch import patch_e2b, status

PRINT_API_URL = "from e2b import ConnectionConfig; print(ConnectionConfig().api_url)"


def state() -> tuple[object, ...]:
    """What the fixture changes: the variables and the SDK."""
    variables = {name: v for name, v in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    config = ConnectionConfig(api_key="e2b_00", domain="kruise.test", debug=False)
    host = config.get_host("sbx", "kruise.test", 3000)
    return variables, host, status().enabled, status().settings


BEFORE = state()


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    yield
    assert state() == BEFORE


@pytest.fixture(autouse=True)
def something_of_the_user_that_uses_monkeypatch_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E2B_DOMAIN", "set.before.test")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_a_sandbox(kruise_autopatch: Any) -> None:
    with Sandbox.create() as sandbox:
        assert sandbox.commands.run("echo hello").stdout == "hello\n"
        assert sandbox.get_host(3000) == (
            f"{kruise_autopatch.domain}/kruise/{sandbox.sandbox_id}/3000"
        )
    paths = [request["path"] for request in kruise_autopatch.requests()]
    assert paths[0].startswith("/kruise/api/")
    assert any(path.startswith(f"/kruise/{sandbox.sandbox_id}/49983/") for path in paths)


@pytest.mark.anyio
async def test_an_async_sandbox(kruise_autopatch: Any) -> None:
    sandbox = await AsyncSandbox.create()
    assert (await sandbox.commands.run("echo hello")).stdout == "hello\n"
    assert await sandbox.kill()


def test_only_the_requests_of_this_test_are_shown(kruise_autopatch: Any) -> None:
    assert kruise_autopatch.requests() == []
    assert Sandbox.kill("no-such-sandbox") is False
    (request,) = kruise_autopatch.requests()
    assert request["method"] == "DELETE"


def test_something_goes_wrong(kruise_autopatch: Any) -> None:
    with kruise_autopatch.fault("401") as fault, pytest.raises(AuthenticationException):
        Sandbox.create()
    assert fault.met == 1
    # Asking for it is no request of the test's.
    assert [request["status"] for request in kruise_autopatch.requests()] == [401]


def test_a_program_inherits_the_variables(kruise_autopatch: Any) -> None:
    done = subprocess.run([sys.executable, "-c", PRINT_API_URL], capture_output=True, text=True)
    assert done.stdout.strip() == kruise_autopatch.api_url, done.stderr


def test_a_program_with_variables_of_its_own_is_given_them(kruise_autopatch: Any) -> None:
    variables = kruise_autopatch.environment()
    assert variables["E2B_API_KEY"] == kruise_autopatch.api_key
    done = subprocess.run(
        [sys.executable, "-c", PRINT_API_URL], env=variables, capture_output=True, text=True
    )
    assert done.stdout.strip() == kruise_autopatch.api_url, done.stderr


def test_what_is_set_during_the_test_is_undone_too(
    kruise_autopatch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("E2B_DOMAIN", "set.during.test")
    patch_e2b(https=True)
    assert ConnectionConfig().api_url == "https://set.during.test/kruise/api"


def test_a_sandbox_is_left_over(kruise_autopatch: Any) -> None:
    # Its number is another one outside of the sandbox; so it is told by what it is called.
    name = f"sleep 1000.{os.getpid()}"
    process = Sandbox.create().commands.run(f"echo begun; exec {name}", background=True)
    next(iter(process))
    Path(__file__).with_name("process").write_text(name)
    process.disconnect()


def test_a_test_without_the_fixture_is_left_alone() -> None:
    assert os.environ["E2B_DOMAIN"] == "set.before.test"
