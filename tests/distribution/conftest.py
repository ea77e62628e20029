"""The built artefacts, and what every environment shares; all of it is read, never modified."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from distribution.environments import Environment, build, copy_libraries, virtual_environment

CHECKOUT = Path(__file__).resolve().parents[2]

# What setuptools may see of the checkout: nothing that an earlier build left behind.
_NOT_SOURCE = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "tests")


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SDK and the other dependencies, without our package."""
    directory = tmp_path_factory.mktemp("libraries")
    copy_libraries(directory)
    return directory


@pytest.fixture(scope="session")
def copy_of_checkout(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Make a copy of the checkout, since building writes into its source tree."""

    def copy() -> Path:
        return shutil.copytree(
            CHECKOUT, tmp_path_factory.mktemp("checkout") / "source", ignore=_NOT_SOURCE
        )

    return copy


@pytest.fixture(scope="session")
def sdist(copy_of_checkout: Callable[[], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("build_sdist", copy_of_checkout(), tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="session")
def wheel(copy_of_checkout: Callable[[], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is to be released: ``KRUISE_TEST_WHEEL`` if set, else built here."""
    ready = os.environ.get("KRUISE_TEST_WHEEL")
    if ready:
        return Path(ready).resolve(strict=True)
    return build("build_wheel", copy_of_checkout(), tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def local_sdist(
    copy_of_checkout: Callable[[], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    source = copy_of_checkout() / "local"
    return build("build_sdist", source, tmp_path_factory.mktemp("local-sdist"))


@pytest.fixture(scope="session")
def local_wheel(
    copy_of_checkout: Callable[[], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The local sandbox-manager's: ``KRUISE_TEST_LOCAL_WHEEL`` if set, else built here."""
    ready = os.environ.get("KRUISE_TEST_LOCAL_WHEEL")
    if ready:
        return Path(ready).resolve(strict=True)
    source = copy_of_checkout() / "local"
    return build("build_wheel", source, tmp_path_factory.mktemp("local-wheel"))


@pytest.fixture(scope="session")
def sources(
    wheel: Path, sdist: Path, copy_of_checkout: Callable[[], Path]
) -> dict[str, Callable[[], list[str]]]:
    """What to write after ``install``, by name."""
    return {
        "wheel": lambda: [str(wheel)],
        "sdist": lambda: [str(sdist)],
        "editable": lambda: ["--editable", str(copy_of_checkout())],
    }


@pytest.fixture(scope="session")
def new_environment(
    libraries: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Environment]:
    """Make a virtual environment that can import the SDK, but has nothing of ours."""

    def new() -> Environment:
        return virtual_environment(tmp_path_factory.mktemp("environment") / "env", libraries)

    return new


@pytest.fixture(scope="session")
def with_wheel(wheel: Path, new_environment: Callable[[], Environment]) -> Environment:
    """An environment in which our wheel is installed. Only to be looked at."""
    environment = new_environment()
    environment.install("pip", wheel)
    return environment
