"""The built artefacts, and what every environment shares; all of it is read, never modified."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from distribution.environments import Environment, build, copy_libraries, virtual_environment

CHECKOUT = Path(__file__).resolve().parents[2]

# What setuptools may see of the checkout: nothing that an earlier build left behind.
_NOT_SOURCE = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "tests")


MadeOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """Fill a directory for all workers of pytest-xdist: the first one does it, the others wait."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def directory(name: str, fill: Callable[[Path], object]) -> Path:
        filled, unfinished = root / f"shared-{name}", root / f"unfinished-{name}"
        with open(root / f"lock-{name}", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not filled.exists():
                shutil.rmtree(unfinished, ignore_errors=True)
                unfinished.mkdir()
                fill(unfinished)
                unfinished.rename(filled)
        return filled

    return directory


@pytest.fixture(scope="session")
def libraries(made_once: MadeOnce) -> Path:
    """The SDK and the other dependencies, without our package."""
    return made_once("libraries", copy_libraries)


@pytest.fixture(scope="session")
def copy_of_checkout(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Make a copy of the checkout, since building writes into its source tree."""

    def copy() -> Path:
        return shutil.copytree(
            CHECKOUT, tmp_path_factory.mktemp("checkout") / "source", ignore=_NOT_SOURCE
        )

    return copy


@pytest.fixture(scope="session")
def sdist(copy_of_checkout: Callable[[], Path], made_once: MadeOnce) -> Path:
    (archive,) = made_once(
        "sdist", lambda to: build("build_sdist", copy_of_checkout(), to)
    ).iterdir()
    return archive


@pytest.fixture(scope="session")
def wheel(copy_of_checkout: Callable[[], Path], made_once: MadeOnce) -> Path:
    """The wheel that is to be released: ``KRUISE_TEST_WHEEL`` if set, else built here."""
    ready = os.environ.get("KRUISE_TEST_WHEEL")
    if ready:
        return Path(ready).resolve(strict=True)
    (archive,) = made_once(
        "wheel", lambda to: build("build_wheel", copy_of_checkout(), to)
    ).iterdir()
    return archive


@pytest.fixture(scope="session")
def local_sdist(copy_of_checkout: Callable[[], Path], made_once: MadeOnce) -> Path:
    (archive,) = made_once(
        "local-sdist", lambda to: build("build_sdist", copy_of_checkout() / "local", to)
    ).iterdir()
    return archive


@pytest.fixture(scope="session")
def local_wheel(copy_of_checkout: Callable[[], Path], made_once: MadeOnce) -> Path:
    """The local sandbox-manager's: ``KRUISE_TEST_LOCAL_WHEEL`` if set, else built here."""
    ready = os.environ.get("KRUISE_TEST_LOCAL_WHEEL")
    if ready:
        return Path(ready).resolve(strict=True)
    (archive,) = made_once(
        "local-wheel", lambda to: build("build_wheel", copy_of_checkout() / "local", to)
    ).iterdir()
    return archive


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
