"""However both distributions are installed, the server runs, and the hook leads to it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from distribution.environments import (
    LOCAL,
    OURS,
    WAYS,
    Environment,
    Sources,
    copy_libraries,
    user_environment,
    virtual_environment,
    without_byte_code_of_setuptools,
)
from kruise_autopatch import __version__

# The libraries are many: one worker of pytest-xdist copies them.
pytestmark = pytest.mark.xdist_group("libraries of both")


# What a user does: a server, and a program that knows nothing of it but its variables. Some
# releases of the SDK log the 404, and these programs may print nothing on the error output.
USE = '''
import os, subprocess, sys
from kruise_autopatch_local import LocalManager

program = """
import logging
from e2b import Sandbox

logging.disable()
print(Sandbox.kill("no-such-sandbox"))
"""
with LocalManager() as manager:
    variables = {**os.environ, **manager.environment()}
    subprocess.run([sys.executable, "-c", program], env=variables, check=True)
    print(*(request["path"] for request in manager.requests()))
'''

# The same where no .pth file is processed.
USE_BY_HAND = """
import logging
from kruise_autopatch import patch_e2b
from kruise_autopatch_local import LocalManager
from e2b import Sandbox

logging.disable()
patch_e2b(https=False)
with LocalManager() as manager:
    print(Sandbox.kill("no-such-sandbox", domain=manager.domain, api_key=manager.api_key))
    print(*(request["path"] for request in manager.requests()))
"""

# What both print: the SDK's answer, and the request that the server has seen.
USED = "False\n/kruise/api/sandboxes/no-such-sandbox"


@pytest.fixture(scope="session")
def libraries_of_both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("libraries-of-both")
    copy_libraries(directory, "e2b,local")
    return directory


@pytest.fixture(scope="session")
def new_environment(
    libraries_of_both: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Environment]:
    """Make an environment that has what both distributions need, but nothing of ours."""

    def new() -> Environment:
        return virtual_environment(
            tmp_path_factory.mktemp("environment") / "env", libraries_of_both
        )

    return new


@pytest.fixture(scope="session")
def sources(
    wheel: Path,
    sdist: Path,
    local_wheel: Path,
    local_sdist: Path,
    copy_of_checkout: Callable[[], Path],
) -> Sources:
    """What to write after ``install``, by name: always both distributions."""

    def editable() -> list[str]:
        checkout = copy_of_checkout()
        return ["--editable", str(checkout), "--editable", str(checkout / "local")]

    return {
        "wheel": lambda: [str(wheel), str(local_wheel)],
        "sdist": lambda: [str(sdist), str(local_sdist)],
        "editable": editable,
    }


@pytest.fixture(scope="session")
def bare(new_environment: Callable[[], Environment]) -> Environment:
    """Nothing of ours. Only to be looked at."""
    return new_environment()


@pytest.fixture(scope="session")
def target(sources: Sources, bare: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a ``pip install --target``. Only to be looked at."""
    directory = tmp_path_factory.mktemp("target")
    bare.install("pip", "--no-deps", "--target", str(directory), *sources["wheel"]())
    return directory


def printed(
    environment: Environment, program: str, variables: Mapping[str, str] | None = None
) -> str:
    """What ``program`` prints, once all that it and the server import has been compiled.

    A slow machine needs more for that than the time that LocalManager gives a server to start.
    """
    beginning = program.partition("\n\n")[0]
    compiling = f"{beginning}\nimport e2b, kruise_autopatch_local.server"
    environment.run("-c", compiling, variables=variables)
    return environment.run("-c", program, variables=variables)


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_it_runs_after_every_way_of_installing_and_uninstalling_leaves_nothing_behind(
    way: tuple[str, str], sources: Sources, new_environment: Callable[[], Environment]
) -> None:
    tool, source = way
    environment = new_environment()
    before = environment.snapshot()
    environment.install(tool, *sources[source]())
    assert printed(environment, USE) == USED
    finding = "import importlib.util; print(importlib.util.find_spec('pytest'))"
    assert environment.run("-c", finding) == "None"  # and none was needed
    command = environment.python.with_name(LOCAL)
    usage = environment.execute([command, "--help"])
    assert usage == environment.run("-m", "kruise_autopatch_local", "--help")
    assert usage.startswith(f"usage: {LOCAL} ")
    environment.uninstall(tool, LOCAL)
    environment.uninstall(tool, OURS)
    assert without_byte_code_of_setuptools(environment.snapshot()) == before


def test_it_runs_from_the_user_s_site_packages(
    tmp_path: Path, libraries_of_both: Path, sources: Sources
) -> None:
    environment = user_environment(tmp_path, libraries_of_both)
    environment.install("pip", "--user", *sources["wheel"]())
    assert printed(environment, USE) == USED


def test_it_runs_from_a_target_directory(bare: Environment, target: Path) -> None:
    variables = {"PYTHONPATH": str(target)}
    assert printed(bare, USE_BY_HAND, variables) == USED


def test_it_runs_from_a_directory_on_the_path_that_the_server_does_not_inherit(
    bare: Environment, target: Path
) -> None:
    adding = f"import sys; sys.path.insert(0, {str(target)!r})\n"
    assert printed(bare, adding + USE_BY_HAND) == USED


def test_it_runs_from_a_zipped_tree(bare: Environment, target: Path, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "tree"), "zip", target)
    variables = {"PYTHONPATH": archive}
    assert printed(bare, USE_BY_HAND, variables) == USED
    reading = "import kruise_autopatch; print(kruise_autopatch.__version__)"
    assert bare.run("-c", reading, variables=variables) == __version__


def test_the_extra_of_the_package_brings_it(
    wheel: Path, local_wheel: Path, new_environment: Callable[[], Environment]
) -> None:
    environment = new_environment()
    links = ["--find-links", str(wheel.parent), "--find-links", str(local_wheel.parent)]
    environment.install("pip", *links, f"{OURS}[local]")
    assert printed(environment, USE) == USED


def test_it_is_not_installed_beside_another_version_of_the_package(
    wheel: Path, local_wheel: Path, new_environment: Callable[[], Environment]
) -> None:
    environment = new_environment()
    environment.install("pip", wheel)
    info = environment.site_packages / f"kruise_autopatch-{__version__}.dist-info"
    other = info.with_name("kruise_autopatch-0.0.1.dist-info")
    os.rename(info, other)
    text = (other / "METADATA").read_text("utf-8")
    assert f"\nVersion: {__version__}\n" in text
    (other / "METADATA").write_text(text.replace(f": {__version__}\n", ": 0.0.1\n"), "utf-8")
    done = environment.attempt("-m", "pip", "install", local_wheel)
    assert done.returncode != 0
    assert f"{OURS}=={__version__}" in done.stderr
