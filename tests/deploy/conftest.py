"""What ``prepare`` has made, and each Python of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kruise_autopatch_local import LocalManager

# tox.ini sets it, once `prepare` has run.
_DIRECTORY = "KRUISE_TEST_DEPLOY"


def _prepared() -> dict[str, Any]:
    directory = os.environ.get(_DIRECTORY)
    if directory is None:
        return {"pythons": {}, "older": {}, "image": None}
    return json.loads(Path(directory, "prepared.json").read_text())  # type: ignore[no-any-return]


PREPARED = _prepared()


# They need libraries that only that environment has.
collect_ignore_glob = [] if PREPARED["image"] else ["test_*.py"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name, found in (("python", "pythons"), ("older_python", "older")):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, PREPARED[found].values(), ids=PREPARED[found].keys())


@pytest.fixture(scope="session")
def image() -> dict[str, Any]:
    """The image that the recipe makes: its root directory, and what it starts."""
    return PREPARED["image"]  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def tree(image: dict[str, Any]) -> Path:
    return Path(image["root"], "kruise-autopatch")


@pytest.fixture(scope="session")
def newest() -> str:
    """The newest Python here, with the newest SDK."""
    pythons: dict[str, str] = PREPARED["pythons"]
    return list(pythons.values())[-1]


@pytest.fixture(scope="session")
def directory() -> Path:
    return Path(os.environ[_DIRECTORY])


@pytest.fixture(scope="session")
def manager() -> Iterator[LocalManager]:
    with LocalManager() as manager:
        yield manager
