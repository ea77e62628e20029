"""The built artefacts, and what every environment shares; all of it is read, never modified."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from distribution.environments import (
    Environment,
    Sources,
    build,
    copy_libraries,
    virtual_environment,
)

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
def built(copy_of_checkout: Callable[[], Path], made_once: MadeOnce) -> Callable[[str, str], Path]:
    """The archive that a build hook of setuptools makes of a directory of the checkout."""

    def archive(hook: str, place: str) -> Path:
        directory = made_once(
            f"{hook}-{place}", lambda to: build(hook, copy_of_checkout() / place, to)
        )
        (only,) = directory.iterdir()
        return only

    return archive


@pytest.fixture(scope="session")
def sdist(built: Callable[[str, str], Path]) -> Path:
    return built("build_sdist", ".")


@pytest.fixture(scope="session")
def wheel(built: Callable[[str, str], Path]) -> Path:
    """The wheel that is to be released: ``KRUISE_TEST_WHEEL`` if set, else built here."""
    return _ready("KRUISE_TEST_WHEEL") or built("build_wheel", ".")


@pytest.fixture(scope="session")
def local_sdist(built: Callable[[str, str], Path]) -> Path:
    return built("build_sdist", "local")


@pytest.fixture(scope="session")
def local_wheel(built: Callable[[str, str], Path]) -> Path:
    """The local sandbox-manager's: ``KRUISE_TEST_LOCAL_WHEEL`` if set, else built here."""
    return _ready("KRUISE_TEST_LOCAL_WHEEL") or built("build_wheel", "local")


def _ready(variable: str) -> Path | None:
    path = os.environ.get(variable)
    return Path(path).resolve(strict=True) if path else None


@pytest.fixture(scope="session")
def sources(wheel: Path, sdist: Path, copy_of_checkout: Callable[[], Path]) -> Sources:
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
