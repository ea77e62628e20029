"""However the package is installed, the hook works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from distribution.environments import (
    OFF,
    ON,
    WAYS,
    Environment,
    Sources,
    assert_hook_works,
    user_environment,
)


# All that looks at one of them is for one worker of pytest-xdist.
@pytest.fixture(
    scope="session",
    params=[
        pytest.param(way, marks=pytest.mark.xdist_group(" ".join(way)), id=" ".join(way))
        for way in WAYS
    ],
)
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
