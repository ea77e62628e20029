"""Uninstalling leaves nothing behind; the installers differ here, not the Pythons."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from distribution.environments import (
    NATIVE_URL,
    ON,
    PRIVATE_URL,
    TOOLS,
    WAYS,
    Environment,
    Sources,
    assert_hook_works,
    user_environment,
    without_byte_code_of_setuptools,
)


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
