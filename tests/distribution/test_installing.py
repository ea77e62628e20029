"""However the package is installed, the hook works; and uninstalling leaves nothing behind."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from distribution.environments import (
    NATIVE_URL,
    OFF,
    ON,
    PRIVATE_URL,
    TOOLS,
    Environment,
    user_environment,
    without_byte_code_of_setuptools,
)

SOURCES = ["wheel", "sdist", "editable"]
# ("pip", "wheel"), ("pip", "sdist"), ...
WAYS = list(itertools.product(TOOLS, SOURCES))

Sources = dict[str, Callable[[], list[str]]]


@pytest.fixture(scope="session", params=WAYS, ids=" ".join)
def installed(
    request: pytest.FixtureRequest,
    sources: Sources,
    new_environment: Callable[[], Environment],
) -> Environment:
    """One environment for each way of installing. Only to be looked at."""
    tool, source = request.param
    environment = new_environment()
    environment.install(tool, *sources[source]())
    return environment


@pytest.fixture
def user(tmp_path: Path, libraries: Path, wheel: Path) -> Environment:
    environment = user_environment(tmp_path, libraries)
    environment.install("pip", "--user", wheel)
    return environment


def assert_hook_works(environment: Environment, *flags: str) -> None:
    on, off = environment.start_up(ON, *flags), environment.start_up(OFF, *flags)
    assert (on.sdk_finders, off.sdk_finders) == (1, 0)
    # So wrapt, threading, logging, importlib.util, typing and re wait until e2b is imported.
    assert on.modules - off.modules == on.our_modules
    assert off.our_modules == set()
    assert environment.api_url(ON, *flags) == PRIVATE_URL
    assert environment.api_url(OFF, *flags) == NATIVE_URL


def assert_hook_is_not_run(environment: Environment, *flags: str) -> None:
    for variables in (ON, OFF):
        state = environment.start_up(variables, *flags)
        assert (state.sdk_finders, state.our_modules) == (0, set())


def test_the_hook_works_after_every_way_of_installing(installed: Environment) -> None:
    assert_hook_works(installed)


def test_openkruise_s_import_path_works_after_every_way_of_installing(
    installed: Environment,
) -> None:
    code = (
        "from kruise_agents.e2b import patch_e2b\n"
        "from kruise_agents.patch_e2b import patch_e2b as same\n"
        "from kruise_agents import keys, patch_traffic_token\n"
        "print(patch_e2b is same, same.__module__)"
    )
    assert installed.run("-c", code) == "True kruise_autopatch.commands"


def test_the_start_up_file_is_in_site_packages_after_every_way_of_installing(
    installed: Environment,
) -> None:
    assert (installed.site_packages / "kruise_autopatch.pth").is_file()


@pytest.mark.parametrize("flag", ["-I", "-E", "-s"])
def test_the_isolating_flags_do_not_stop_the_hook(with_wheel: Environment, flag: str) -> None:
    assert_hook_works(with_wheel, flag)


def test_without_the_site_module_there_is_no_hook(with_wheel: Environment) -> None:
    assert_hook_is_not_run(with_wheel, "-S")


def test_the_hook_works_from_the_user_s_site_packages(user: Environment) -> None:
    assert_hook_works(user)
    assert_hook_works(user, "-E")


@pytest.mark.parametrize("flag", ["-s", "-I"])
def test_flags_that_hide_the_user_s_site_packages_hide_the_hook_in_it(
    user: Environment, flag: str
) -> None:
    assert_hook_is_not_run(user, flag)


@pytest.mark.parametrize("uninstaller", TOOLS)
@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_uninstalling_leaves_nothing_behind(
    way: tuple[str, str],
    uninstaller: str,
    sources: Sources,
    new_environment: Callable[[], Environment],
) -> None:
    environment = new_environment()
    before = environment.snapshot()
    tool, source = way
    environment.install(tool, *sources[source]())
    assert environment.api_url(ON) == PRIVATE_URL  # and writes byte code
    environment.uninstall(uninstaller)
    assert without_byte_code_of_setuptools(environment.snapshot()) == before
    assert environment.api_url(ON) == NATIVE_URL


def test_uninstalling_leaves_nothing_in_the_user_s_site_packages(
    tmp_path: Path, libraries: Path, wheel: Path
) -> None:
    environment = user_environment(tmp_path, libraries)
    before = environment.snapshot()
    environment.install("pip", "--user", wheel)
    assert environment.api_url(ON) == PRIVATE_URL
    environment.uninstall("pip")
    assert environment.snapshot() == before
    assert environment.api_url(ON) == NATIVE_URL


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("order", [("editable", "wheel"), ("wheel", "editable")], ids=" ".join)
def test_one_way_of_installing_replaces_another(
    order: tuple[str, str],
    tool: str,
    sources: Sources,
    new_environment: Callable[[], Environment],
) -> None:
    environment = new_environment()
    before = environment.snapshot()
    for source in order:
        environment.install(tool, *sources[source]())
    assert_hook_works(environment)
    environment.uninstall(tool)
    assert without_byte_code_of_setuptools(environment.snapshot()) == before
