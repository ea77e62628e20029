"""``kruise_agents`` is OpenKruise's name too: both distributions live side by side, unharmed.

Where OpenKruise's is not installed, what its documentation imports comes from ours.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from distribution.environments import (
    NATIVE_URL,
    OFF,
    ON,
    PRINT_API_URL,
    PRIVATE_URL,
    TOOLS,
    Environment,
)
from distribution.hand_made import make_wheel

THEIRS = "openkruise_agents"

# What OpenKruise's documentation imports, by module.
NAMES = {
    "patch_e2b": "patch_e2b",
    "keys": "encode_for_e2b_sdk",
    "patch_traffic_token": "patch_traffic_access_token",
    "traffic_token": "TrafficAccessTokenExpired",
}
AS_NAMESPACE = {
    f"kruise_agents/{module}.py": f"def {name}(): print('theirs')\n"
    for module, name in NAMES.items()
}
AS_REGULAR_PACKAGE = {**AS_NAMESPACE, "kruise_agents/__init__.py": "OWNER = 'theirs'\n"}

USE_THEIRS = "from kruise_agents.patch_e2b import patch_e2b; patch_e2b()"
# Prints "theirs" or "ours" for each module.
WHOSE = "import importlib, os\n" + "".join(
    f"module = importlib.import_module('kruise_agents.{module}')\n"
    f"assert callable(module.{name})\n"
    "print('ours' if 'kruise_autopatch' in module.__file__.split(os.sep) else 'theirs')\n"
    for module, name in NAMES.items()
)
ALL_OURS = "\n".join(["ours"] * len(NAMES))
ALL_THEIRS = "\n".join(["theirs"] * len(NAMES))
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
    assert environment.run("-c", WHOSE) == ALL_THEIRS
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
    assert environment.run("-c", WHOSE) == ALL_THEIRS
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
    assert environment.run("-c", WHOSE) == ALL_OURS
    assert environment.run("-c", USE_OURS, variables=OFF) == PRIVATE_URL


def assert_nothing_but_byte_code_changed(before: dict[str, bytes], after: dict[str, bytes]) -> None:
    """uv removes all byte code of a directory it removes files from. Python writes it anew.

    That of a module in site-packages itself, uv leaves: without its source it is never looked at.
    """
    left = {name for name in after.keys() - before.keys() if "site-packages/__pycache__" in name}
    assert {n: content for n, content in after.items() if n not in left}.items() <= before.items()
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
    assert with_wheel.run("-c", WHOSE, variables=path) == ALL_THEIRS
    ours = USE_OURS.replace("kruise_agents.e2b", "kruise_autopatch")
    assert with_wheel.run("-c", ours, variables=path) == PRIVATE_URL


@either_form
def test_their_package_later_on_the_path_is_whole_too(
    files: dict[str, str], with_wheel: Environment, tmp_path: Path
) -> None:
    write(tmp_path, files)
    appending = f"import sys; sys.path.append({str(tmp_path)!r})\n"
    assert with_wheel.run("-c", appending + WHOSE) == ALL_THEIRS
    if files is AS_REGULAR_PACKAGE:
        code = f"{appending}import kruise_agents; print(kruise_agents.OWNER)"
        assert with_wheel.run("-c", code) == "theirs"


def test_their_package_in_a_checkout_is_found_before_ours(
    with_wheel: Environment, tmp_path: Path
) -> None:
    """As ``pip install --editable`` has it: a finder behind all others knows the place."""
    write(tmp_path, AS_REGULAR_PACKAGE)
    package = str(tmp_path / "kruise_agents")
    installing = f"""
import sys
from importlib.machinery import PathFinder
class Editable:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return PathFinder.find_spec(name, [{str(tmp_path)!r}]) if name == "kruise_agents" else None
sys.meta_path.append(Editable)
"""
    assert with_wheel.run("-c", installing + WHOSE) == ALL_THEIRS
    code = f"{installing}import kruise_agents; print(*kruise_agents.__path__)"
    assert with_wheel.run("-c", code) == package


def test_a_copy_of_one_of_their_modules_in_a_project_is_used_beside_ours(
    with_wheel: Environment, tmp_path: Path
) -> None:
    write(tmp_path, {"kruise_agents/patch_e2b.py": AS_NAMESPACE["kruise_agents/patch_e2b.py"]})
    found = with_wheel.run("-c", WHOSE, variables={"PYTHONPATH": str(tmp_path)}).split()
    assert dict(zip(NAMES, found)) == {**dict.fromkeys(NAMES, "ours"), "patch_e2b": "theirs"}


def test_an_error_in_their_package_is_not_hidden(with_wheel: Environment, tmp_path: Path) -> None:
    write(tmp_path, {"kruise_agents/__init__.py": "raise RuntimeError('theirs')\n"})
    appending = f"import sys; sys.path.append({str(tmp_path)!r})\n"
    done = with_wheel.attempt("-c", f"{appending}import kruise_agents.keys")
    assert done.stderr.endswith("RuntimeError: theirs\n")


@pytest.mark.parametrize("switch", ["0", "1"])
def test_the_preamble_of_their_tutorial_works_with_ours_alone(
    with_wheel: Environment, switch: str
) -> None:
    code = f"""
import os
from e2b import Sandbox
from kruise_agents.patch_e2b import patch_e2b
from kruise_agents.keys import encode_for_e2b_sdk
from kruise_agents.patch_traffic_token import patch_traffic_access_token

for _ in range(2):  # once more in a child process, say
    os.environ["E2B_API_KEY"] = encode_for_e2b_sdk(os.environ["E2B_API_KEY"])
    patch_e2b(https=False)
    patch_traffic_access_token()
print(os.environ["E2B_API_KEY"]){PRINT_API_URL}"""
    variables = {"KRUISE_E2B_PATCH": switch, "E2B_API_KEY": "some-api-key", **OFF}
    encoded = "e2b_6f6b6167010000000c736f6d652d6170692d6b657947a2e62d3ce60d6d"
    assert with_wheel.run("-c", code, variables=variables).split() == [encoded, PRIVATE_URL]


def test_tokens_that_nobody_would_renew_are_an_error(with_wheel: Environment) -> None:
    code = (
        "from kruise_agents.patch_traffic_token import patch_traffic_access_token as patch\npatch()"
    )
    done = with_wheel.attempt("-c", code)
    assert "the private protocol is off" in done.stderr.splitlines()[-1]
    assert with_wheel.run("-c", code, variables=ON) == ""


def test_importing_it_loads_nothing_of_ours_that_start_up_does_not(with_wheel: Environment) -> None:
    code = (
        "import kruise_agents, sys\n"
        "print(*sorted(name for name in sys.modules if name.startswith('kruise_a')))"
    )
    assert with_wheel.run("-c", code) == "kruise_agents kruise_autopatch"


def write(directory: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        file = directory / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, "utf-8")
