"""What every test may rely on: the *installed* package, and an environment without our variables."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import kruise_autopatch

CHECKOUT = Path(__file__).resolve().parent.parent


def pytest_configure(config: pytest.Config) -> None:
    installed = Path(kruise_autopatch.__file__).resolve()
    if CHECKOUT in installed.parents and "site-packages" not in installed.parts:
        raise pytest.UsageError(
            f"the tests need the installed wheel, but found the source tree ({installed});"
            " run them with tox"
        )


@pytest.fixture(autouse=True)
def no_inherited_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("E2B_", "KRUISE_")) and not name.startswith("KRUISE_TEST_"):
            monkeypatch.delenv(name)
