"""Installations that differ from the one under test; all are read, never modified."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from support.installations import (
    OURS,
    SITE_PACKAGES,
    START_UP_FILE,
    Environment,
    copy_of_ours,
    virtual_environment,
)


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``pip install --target`` makes of our package."""
    directory = copy_of_ours(tmp_path_factory.mktemp("installation") / "target")
    shutil.copy(SITE_PACKAGES / START_UP_FILE, directory)
    return directory


@pytest.fixture(scope="session")
def sdk_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SDK and its dependencies, without anything of ours."""
    directory = tmp_path_factory.mktemp("installation") / "sdk"
    directory.mkdir()
    for entry in SITE_PACKAGES.iterdir():
        if not entry.name.startswith(OURS) and entry.suffix != ".pth":
            (directory / entry.name).symlink_to(entry)
    return directory


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter that has no packages at all."""
    root = tmp_path_factory.mktemp("bare") / "environment"
    return str(virtual_environment(root))


@pytest.fixture
def new_environment(tmp_path: Path) -> Callable[[], Environment]:
    return lambda: Environment(tmp_path / "environment")
