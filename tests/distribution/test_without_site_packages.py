"""Applications with an environment of their own, and trees that Python does not treat as one.

Only site-packages directories are searched for ``.pth`` files. Elsewhere there is no hook, and
``patch_e2b()`` must be called by hand.
"""

from __future__ import annotations

import os
import shutil
import zipapp
from collections.abc import Callable
from pathlib import Path

import pytest

from distribution.environments import NATIVE_URL, OFF, ON, PRINT_API_URL, PRIVATE_URL, Environment
from distribution.hand_made import make_application

BY_HAND = "from kruise_autopatch import patch_e2b; patch_e2b(https=False)\n"


@pytest.fixture(scope="session")
def bare(new_environment: Callable[[], Environment]) -> Environment:
    """The SDK, and nothing of ours. Only to be looked at."""
    return new_environment()


@pytest.fixture(scope="session")
def target(wheel: Path, bare: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a ``pip install --target``. Only to be looked at."""
    directory = tmp_path_factory.mktemp("target")
    bare.install("pip", "--no-deps", "--target", str(directory), wheel)
    return directory


def test_a_target_directory_has_the_start_up_files_but_they_are_not_run(
    bare: Environment, target: Path
) -> None:
    assert (target / "kruise_autopatch.pth").is_file()
    on = {**ON, "PYTHONPATH": str(target)}
    state = bare.start_up(on)
    assert (state.sdk_finders, state.our_modules) == (0, set())
    assert bare.api_url(on) == NATIVE_URL


def test_in_a_target_directory_patch_e2b_works_by_hand(bare: Environment, target: Path) -> None:
    path = {**OFF, "PYTHONPATH": str(target)}
    assert bare.run("-c", BY_HAND + PRINT_API_URL, variables=path) == PRIVATE_URL


def test_adding_a_target_directory_as_a_site_directory_runs_the_hook(
    bare: Environment, target: Path
) -> None:
    adding = f"import site; site.addsitedir({str(target)!r})\n"
    assert bare.run("-c", adding + PRINT_API_URL, variables=ON) == PRIVATE_URL
    assert bare.run("-c", adding + PRINT_API_URL, variables=OFF) == NATIVE_URL


def test_a_zipapp_is_patched_by_the_hook_of_its_interpreter(
    with_wheel: Environment, tmp_path: Path
) -> None:
    application = make_zipapp(tmp_path, PRINT_API_URL)
    assert with_wheel.run(application, variables=ON) == PRIVATE_URL
    assert with_wheel.run(application, variables=OFF) == NATIVE_URL


def test_a_zipapp_that_contains_the_package_is_not_hooked_but_patch_e2b_works_by_hand(
    bare: Environment, target: Path, tmp_path: Path
) -> None:
    hoping = make_zipapp(tmp_path / "hoping", PRINT_API_URL, target)
    calling = make_zipapp(tmp_path / "calling", BY_HAND + PRINT_API_URL, target)
    assert bare.run(hoping, variables=ON) == NATIVE_URL
    assert bare.run(calling, variables=OFF) == PRIVATE_URL


def make_zipapp(directory: Path, program: str, *contents: Path) -> Path:
    """A zipapp of ``program`` and everything in the directories ``contents``."""
    source = directory / "source"
    source.mkdir(parents=True)
    (source / "__main__.py").write_text(program, "utf-8")
    for content in contents:
        shutil.copytree(content, source, dirs_exist_ok=True)
    application = directory / "application.pyz"
    zipapp.create_archive(source, application)
    return application


def test_an_application_in_its_own_environment_is_patched_without_activation(
    new_environment: Callable[[], Environment], wheel: Path, tmp_path: Path
) -> None:
    """As ``pipx install`` and ``uv tool install`` do: the script is run by its path."""
    application = make_application(tmp_path, requires=["kruise-autopatch"])
    environment = new_environment()
    environment.install("pip", "--find-links", str(wheel.parent), application)
    script = environment.python.parent / (
        "print-api-url.exe" if os.name == "nt" else "print-api-url"
    )
    assert environment.execute([script], ON) == PRIVATE_URL
    assert environment.execute([script], OFF) == NATIVE_URL
