"""Environments that virtualenv, uv and pipx make, and environments within environments.

Run by ``tox -e starts``, which installs these tools.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import uv as uv_package

from distribution.environments import (
    NATIVE_URL,
    OFF,
    ON,
    PRIVATE_URL,
    Environment,
    base_interpreter,
    existing_environment,
    user_environment,
)
from distribution.hand_made import make_application

pytest.importorskip("pipx", reason="only in the tox environment `starts`")

TESTS_PYTHON = Environment(Path(sys.executable), Path(sys.prefix), Path(sys.prefix))

MAKERS: dict[str, Callable[[], list[str | Path]]] = {
    "virtualenv": lambda: [sys.executable, "-m", "virtualenv", "--no-download", "--quiet"],
    "virtualenv, copies": lambda: [*MAKERS["virtualenv"](), "--copies", "--no-pip"],
    "uv": lambda: [uv_package.find_uv_bin(), "venv", "--quiet", "--python", base_interpreter()],
    "uv, relocatable": lambda: [*MAKERS["uv"](), "--relocatable"],
}


@pytest.mark.parametrize("maker", MAKERS)
def test_the_hook_runs_in_the_environments_of_every_maker(
    maker: str, wheel: Path, libraries: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "environment"
    TESTS_PYTHON.execute([*MAKERS[maker](), directory])
    environment = existing_environment(directory, libraries)
    assert environment.api_url(ON) == NATIVE_URL
    environment.install("uv", wheel)
    assert environment.start_up(ON).sdk_finders == 1
    assert environment.api_url(ON) == PRIVATE_URL
    assert environment.api_url(OFF) == NATIVE_URL


def test_a_nested_environment_needs_the_package_itself(
    with_wheel: Environment, wheel: Path, libraries: Path, tmp_path: Path
) -> None:
    inner = tmp_path / "inner"
    with_wheel.run("-m", "venv", "--without-pip", inner)
    environment = existing_environment(inner, libraries)
    assert environment.start_up(ON).sdk_finders == 0
    environment.install("uv", wheel)
    assert environment.start_up(ON).sdk_finders == 1
    assert environment.api_url(ON) == PRIVATE_URL


@pytest.mark.parametrize("copies", ["outside", "outside and inside"])
def test_an_environment_with_system_site_packages_runs_the_hook_outside_it(
    copies: str, wheel: Path, libraries: Path, tmp_path: Path
) -> None:
    """The user's site-packages are among those; the base interpreter's own are not touched."""
    user_base = tmp_path / "user"
    user_base.mkdir()
    user_environment(user_base, libraries).install("pip", "--user", wheel)
    inner = tmp_path / "inner"
    make = ("-m", "venv", "--without-pip", "--system-site-packages")
    TESTS_PYTHON.execute([base_interpreter(), *make, inner])
    environment = existing_environment(inner, libraries)
    if "inside" in copies:
        environment.install("uv", wheel)
    environment = replace(environment, variables={"PYTHONUSERBASE": str(user_base)})
    assert environment.start_up(ON).sdk_finders == 1
    assert environment.api_url(ON) == PRIVATE_URL
    assert environment.start_up(ON, "-s").sdk_finders == ("inside" in copies)


def test_an_application_of_pipx_is_patched_once_the_package_is_injected(
    wheel: Path, libraries: Path, tmp_path: Path
) -> None:
    application = make_application(tmp_path)
    home = {"PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(tmp_path / "bin")}
    home["PATH"] = os.pathsep.join([home["PIPX_BIN_DIR"], os.environ["PATH"]])

    def pipx(*arguments: str | Path) -> None:
        done = TESTS_PYTHON.attempt("-m", "pipx", *arguments, variables=home)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"

    without = ("--backend", "pip", "--pip-args=--no-deps --no-index")
    pipx("install", "--skip-maintenance", *without, application)
    environment = existing_environment(tmp_path / "pipx" / "venvs" / "application", libraries)
    script = tmp_path / "bin" / "print-api-url"
    assert environment.execute([script], ON) == NATIVE_URL
    pipx("inject", without[-1], "application", wheel)
    assert environment.execute([script], ON) == PRIVATE_URL
    assert environment.execute([script], OFF) == NATIVE_URL
