"""What every test may rely on: the installed package, and no variables of ours."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import kruise_autopatch
from support import loopback, loopback_tls

CHECKOUT = Path(__file__).resolve().parent.parent


def pytest_report_header() -> str:
    return f"nothing but loopback: {loopback.guard()}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """For ``-n auto``: the tests wait for other processes half of the time."""
    # macOS gives no process cores of its own.
    affinity = getattr(os, "sched_getaffinity", None)
    return 2 * (len(affinity(0)) if affinity else os.cpu_count() or 1)


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        # Each worker of pytest-xdist counts its own tests' attempts to leave loopback.
        loopback.isolate()
    isolation = os.environ.get("KRUISE_TEST_ISOLATION")
    if isolation is not None:
        # Of every server that does not ask for another: `tox -e coverage`.
        from kruise_autopatch_local import LocalManager

        (LocalManager.__init__.__kwdefaults__ or {})["isolation"] = isolation
    installed = Path(kruise_autopatch.__file__).resolve()
    if CHECKOUT in installed.parents and "site-packages" not in installed.parts:
        raise pytest.UsageError(
            f"the tests need the installed wheel, but found the source tree ({installed});"
            " run them with tox"
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(autouse=True)
def nothing_but_loopback() -> Iterator[None]:
    """Fails a test since whose predecessor something tried to reach another machine."""
    yield
    attempts = loopback.new_escapes()
    assert attempts == 0, f"{attempts} attempts to look up or reach another machine"


@pytest.fixture(autouse=True)
def no_inherited_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("E2B_", "KRUISE_")) and not name.startswith("KRUISE_TEST_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def tests_of_tests_keep_to_themselves(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Where a pytest that a test starts has its directories, unless it is told.

    Otherwise it would remove, when it ends, what earlier runs have left: minutes, in one test.
    """
    with pytest.MonkeyPatch.context() as patching:
        patching.setenv("PYTEST_DEBUG_TEMPROOT", str(tmp_path_factory.mktemp("pytest")))
        yield


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A certificate for loopback: paths of its authority, its chain and its key."""
    return loopback_tls.issue(tmp_path_factory.mktemp("certificates"))
