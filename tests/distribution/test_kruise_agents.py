"""``kruise_agents`` is OpenKruise's name too: both distributions live side by side, unharmed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from distribution.environments import (
    NATIVE_URL,
    OFF,
    PRINT_API_URL,
    PRIVATE_URL,
    TOOLS,
    Environment,
)
from distribution.hand_made import make_wheel

THEIRS = "openkruise_agents"

AS_NAMESPACE = {"kruise_agents/patch_e2b.py": "def patch_e2b(): print('theirs')\n"}
AS_REGULAR_PACKAGE = {**AS_NAMESPACE, "kruise_agents/__init__.py": "OWNER = 'theirs'\n"}

USE_THEIRS = "from kruise_agents.patch_e2b import patch_e2b; patch_e2b()"
USE_OURS = "from kruise_agents.e2b import patch_e2b; patch_e2b(https=False)\n" + PRINT_API_URL

either_form = pytest.mark.parametrize(
    "files", [AS_NAMESPACE, AS_REGULAR_PACKAGE], ids=["namespace", "regular package"]
)
either_tool = pytest.mark.parametrize("tool", TOOLS)


def kruise_agents(environment: Environment) -> dict[str, bytes]:
    """The files of ``kruise_agents``, whoever they belong to."""
    prefix = environment.site_packages.relative_to(environment.root).as_posix() + "/"
    return {
        name[len(prefix) :]: content
        for name, content in environment.snapshot().items()
        if name.startswith(f"{prefix}kruise_agents/") and name.endswith(".py")
    }


def contents(wheel: Path) -> dict[str, bytes]:
    """The files of ``kruise_agents`` in a wheel."""
    with ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith("kruise_agents/")]
        return {name: archive.read(name) for name in names}


@either_form
@either_tool
@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_neither_overwrites_the_other_and_both_can_be_imported(
    files: dict[str, str],
    tool: str,
    first: str,
    new_environment: Callable[[], Environment],
    wheel: Path,
    tmp_path: Path,
) -> None:
    theirs = make_wheel(tmp_path, THEIRS, files)
    environment = new_environment()
    for each in [wheel, theirs] if first == "ours" else [theirs, wheel]:
        environment.install(tool, each)

    found = kruise_agents(environment)
    assert found.items() >= contents(theirs).items()
    assert found.items() >= contents(wheel).items()
    assert environment.run("-c", USE_THEIRS) == "theirs"
    assert environment.run("-c", USE_OURS, variables=OFF) == PRIVATE_URL


@either_form
@either_tool
def test_uninstalling_ours_leaves_theirs_as_it_was(
    files: dict[str, str],
    tool: str,
    new_environment: Callable[[], Environment],
    wheel: Path,
    tmp_path: Path,
) -> None:
    environment = new_environment()
    environment.install(tool, make_wheel(tmp_path, THEIRS, files))
    environment.run("-c", USE_THEIRS)  # and write the byte code
    before = environment.snapshot()
    environment.install(tool, wheel)
    environment.run("-c", USE_OURS, variables=OFF)
    environment.uninstall(tool)
    assert_nothing_but_byte_code_changed(before, environment.snapshot())
    assert environment.run("-c", USE_THEIRS) == "theirs"
    assert environment.api_url(OFF) == NATIVE_URL


@either_form
@either_tool
def test_uninstalling_theirs_leaves_ours_as_it_was(
    files: dict[str, str],
    tool: str,
    new_environment: Callable[[], Environment],
    wheel: Path,
    tmp_path: Path,
) -> None:
    environment = new_environment()
    environment.install(tool, wheel)
    environment.run("-c", USE_OURS, variables=OFF)
    before = environment.snapshot()
    environment.install(tool, make_wheel(tmp_path, THEIRS, files))
    environment.run("-c", USE_THEIRS)
    environment.uninstall(tool, THEIRS)
    assert_nothing_but_byte_code_changed(before, environment.snapshot())
    assert environment.run("-c", USE_OURS, variables=OFF) == PRIVATE_URL


def assert_nothing_but_byte_code_changed(before: dict[str, bytes], after: dict[str, bytes]) -> None:
    """uv removes all byte code of a directory it removes files from. Python writes it anew."""
    assert after.items() <= before.items()
    assert all("__pycache__" in name for name in before.keys() - after.keys())


def test_a_namespace_elsewhere_on_the_path_is_merged_with_ours(
    with_wheel: Environment, tmp_path: Path
) -> None:
    write(tmp_path, AS_NAMESPACE)
    path = {**OFF, "PYTHONPATH": str(tmp_path)}
    assert with_wheel.run("-c", USE_THEIRS, variables=path) == "theirs"
    assert with_wheel.run("-c", USE_OURS, variables=path) == PRIVATE_URL


def test_a_regular_package_elsewhere_on_the_path_hides_our_alias_but_not_our_package(
    with_wheel: Environment, tmp_path: Path
) -> None:
    write(tmp_path, AS_REGULAR_PACKAGE)
    path = {**OFF, "PYTHONPATH": str(tmp_path)}
    finding = "from importlib.util import find_spec; print(find_spec('kruise_agents.e2b'))"
    assert with_wheel.run("-c", finding, variables=path) == "None"
    ours = USE_OURS.replace("kruise_agents.e2b", "kruise_autopatch")
    assert with_wheel.run("-c", ours, variables=path) == PRIVATE_URL


def write(directory: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        file = directory / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, "utf-8")
