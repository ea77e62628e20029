"""Environments that somebody has left half broken: quiet without e2b, and clear with it."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from distribution.environments import (
    NATIVE_URL,
    OFF,
    ON,
    PRINT_API_URL,
    PRIVATE_URL,
    Environment,
    virtual_environment,
)
from support.children import IMPORT_ALL_ELSE, IN_CHILD

ALIVE = ("-c", "print('alive')")

Attempt = subprocess.CompletedProcess[str]


@pytest.fixture
def environment(new_environment: Callable[[], Environment], wheel: Path) -> Environment:
    """Our wheel, installed without byte code; to be broken."""
    environment = new_environment()
    environment.install("uv", wheel)
    return environment


def assert_silent(done: Attempt) -> None:
    assert (done.returncode, done.stdout, done.stderr) == (0, "alive\n", "")


def assert_import_fails(done: Attempt, *words: str) -> None:
    """With one traceback, whose last line says it all."""
    assert done.returncode == 1, done.stdout
    last = done.stderr.strip().splitlines()[-1]
    for word in words:
        assert word in last


# --- remains ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("remains", "said"),
    [
        ((), "No module named 'kruise_autopatch'"),
        (("__pycache__", "log.cpython-39.pyc"), "'kruise_autopatch' has no attribute 'start'"),
    ],
)
def test_a_start_up_file_without_its_package_is_inert_while_off_and_loud_while_on(
    environment: Environment, remains: tuple[str, ...], said: str
) -> None:
    # With `remains`: an uninstaller has left a directory, which Python takes for a namespace.
    package = environment.site_packages / "kruise_autopatch"
    shutil.rmtree(package)
    if remains:
        package.joinpath(*remains).parent.mkdir(parents=True)
        package.joinpath(*remains).write_bytes(b"")
    for variables in (OFF, {**OFF, "KRUISE_E2B_PATCH": ""}):
        assert_silent(environment.attempt(*ALIVE, variables=variables))

    # Nothing is left that could stop the SDK, so say at each start that it is not patched.
    done = environment.attempt(*ALIVE, variables=ON)
    assert (done.returncode, done.stdout) == (0, "alive\n")
    assert "kruise_autopatch.pth" in done.stderr
    assert said in done.stderr


def test_without_the_start_up_file_the_package_waits_for_patch_e2b(
    environment: Environment,
) -> None:
    (environment.site_packages / "kruise_autopatch.pth").unlink()
    assert_silent(environment.attempt(*ALIVE, variables=ON))
    by_hand = "import kruise_autopatch; kruise_autopatch.patch_e2b(https=False)"
    assert environment.run("-c", by_hand + PRINT_API_URL, variables=OFF) == PRIVATE_URL
    doctor = environment.attempt("-m", "kruise_autopatch", "doctor", "--offline", variables=ON)
    assert doctor.returncode == 1
    assert "kruise_autopatch.pth" in doctor.stdout


# What an upgrade or an uninstaller that broke off may have taken away: all but the package itself,
# whose absence is told at each start. One after the other, each time in a child.
WITHOUT_EACH = (
    IN_CHILD
    + IMPORT_ALL_ELSE
    + """
def ours():
    import e2b
    return [m.__file__ for n, m in sys.modules.items() if n.startswith("kruise_autopatch.")]

def url():
    from e2b import ConnectionConfig
    return ConnectionConfig(api_key="e2b_00").api_url

import_all_else(["e2b"])
found = {}
for file in in_child(ours):
    os.rename(file, file + ".hidden")
    # Another start may have left an old listing of the directory behind.
    importlib.invalidate_caches()
    found[file] = in_child(url)
    os.rename(file + ".hidden", file)
print(json.dumps(found))
"""
)


@pytest.mark.long
def test_whichever_module_of_ours_is_missing_the_sdk_is_not_native(
    environment: Environment,
) -> None:
    found = json.loads(environment.run("-c", WITHOUT_EACH, variables=ON))
    assert len(found) > 10
    for file, said in found.items():
        # Nobody misses an __init__.py that has nothing in it.
        if not (file.endswith("__init__.py") and said == PRIVATE_URL):
            assert re.match(r"(ModuleNotFound|Import|Attribute)Error\(.*kruise_autopatch", said), (
                file
            )


# --- directories that cannot be written to ----------------------------------------------------

_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE = 24, 1


def obey_permissions() -> None:
    """Let the program that this process becomes meet the permissions of files, even as root."""
    if os.geteuid() == 0:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, 0, 0, 0)


@pytest.fixture
def read_only(environment: Environment) -> Iterator[Environment]:
    directories = [environment.site_packages, *environment.site_packages.rglob("*")]
    directories = [path for path in directories if path.is_dir() and not path.is_symlink()]
    for directory in directories:
        directory.chmod(stat.S_IRUSR | stat.S_IXUSR)
    yield environment
    for directory in directories:
        directory.chmod(stat.S_IRWXU)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="drops a capability of Linux")
def test_site_packages_may_be_read_only_and_without_byte_code(read_only: Environment) -> None:
    before = read_only.snapshot()
    write = f"open({str(read_only.site_packages / 'x')!r}, 'w')"
    refused = read_only.attempt("-c", write, before=obey_permissions)
    assert "PermissionError" in refused.stderr
    for variables, url in ((ON, PRIVATE_URL), (OFF, NATIVE_URL)):
        done = read_only.attempt("-c", PRINT_API_URL, variables=variables, before=obey_permissions)
        assert (done.stdout.strip(), done.stderr) == (url, "")
    ours = {name for name in read_only.snapshot() if "kruise" in name}
    assert ours == {name for name in before if "kruise" in name}


# --- two copies -------------------------------------------------------------------------------

WHICH_COPY = f"{PRINT_API_URL}\nimport kruise_autopatch; print(kruise_autopatch.COPY)"


def second_copy(environment: Environment, directory: Path) -> Path:
    """Everything of ours once more, as an older release; both copies say which they are."""
    shutil.copytree(environment.site_packages, directory)
    for copy, name in ((environment.site_packages, "installed"), (directory, "second")):
        with (copy / "kruise_autopatch" / "__init__.py").open("a") as module:
            module.write(f"\nCOPY = {name!r}\n")
    (directory / "zz_libraries.pth").unlink()
    (metadata,) = directory.glob("kruise_autopatch-*.dist-info")
    metadata.rename(directory / "kruise_autopatch-0.0.1.dist-info")
    return directory


def test_of_two_copies_the_first_on_the_path_wins_alone(
    environment: Environment, tmp_path: Path
) -> None:
    second = second_copy(environment, tmp_path / "second")
    on_path = {**ON, "PYTHONPATH": str(second)}
    assert environment.start_up(on_path).sdk_finders == 1
    assert environment.run("-c", WHICH_COPY, variables=on_path).split() == [PRIVATE_URL, "second"]


@pytest.mark.parametrize("name", ["aa_second.pth", "zz_second.pth"])
def test_of_two_site_directories_with_a_start_up_file_each_the_first_wins_alone(
    environment: Environment, tmp_path: Path, name: str
) -> None:
    second = second_copy(environment, tmp_path / "second")
    adding = f"import site; site.addsitedir({str(second)!r})\n"
    (environment.site_packages / name).write_text(adding)
    assert environment.start_up(ON).sdk_finders == 1
    found = environment.run("-c", WHICH_COPY, variables=ON).split()
    assert found == [PRIVATE_URL, "installed"]


# --- wrapt ------------------------------------------------------------------------------------

BROKEN_WRAPT = {
    "missing": None,
    "not Python": "def FunctionWrapper(:\n",
    "without its own parts": "from wrapt.wrappers import FunctionWrapper\n",
    "failing": "raise RuntimeError('no such ABI')\n",
    "without what we need": "__version__ = '0.1'\n",
}


@pytest.fixture(params=BROKEN_WRAPT)
def broken_wrapt(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Variables under which wrapt is broken in one way."""
    source = BROKEN_WRAPT[request.param]
    package = tmp_path / "broken" / "wrapt"
    package.mkdir(parents=True)
    if source is None:
        source = "raise ModuleNotFoundError(\"No module named 'wrapt'\", name='wrapt')"
    (package / "__init__.py").write_text(source)
    return {**ON, "PYTHONPATH": str(package.parent)}


def test_a_broken_wrapt_is_not_noticed_before_e2b_is_imported(
    with_wheel: Environment, broken_wrapt: dict[str, str]
) -> None:
    assert_silent(with_wheel.attempt(*ALIVE, variables=broken_wrapt))


def test_a_broken_wrapt_fails_every_import_of_e2b_and_says_what_to_do(
    with_wheel: Environment, broken_wrapt: dict[str, str]
) -> None:
    code = (
        "for statement in ('import e2b', 'import e2b.api', 'from e2b import Sandbox'):\n"
        "    try:\n"
        "        exec(statement)\n"
        "    except ImportError:\n"
        "        pass\n"
        "    else:\n"
        "        print('imported', statement)\n"
        "import e2b"
    )
    done = with_wheel.attempt("-c", code, variables=broken_wrapt)
    assert done.stdout == ""
    assert_import_fails(done, "CannotPatchError: kruise-autopatch needs wrapt", "pip install")


def test_a_wrapt_without_its_c_extension_will_do(with_wheel: Environment) -> None:
    variables = {**ON, "WRAPT_DISABLE_EXTENSIONS": "1"}
    assert with_wheel.api_url(variables) == PRIVATE_URL


# --- what else runs at start-up ---------------------------------------------------------------


@pytest.mark.parametrize("module", ["sitecustomize", "usercustomize"])
def test_a_customization_that_raises_does_not_disturb_the_hook(
    environment: Environment, module: str
) -> None:
    # In the environment, not on PYTHONPATH, where it would hide that of the tests' guard.
    (environment.site_packages / f"{module}.py").write_text("raise RuntimeError('broken')\n")
    done = environment.attempt("-c", PRINT_API_URL, variables=ON)
    assert (done.returncode, done.stdout.strip()) == (0, PRIVATE_URL)


@pytest.mark.parametrize("name", ["aa_first.pth", "zz_last.pth"])
def test_a_start_up_file_that_raises_does_not_disturb_the_hook(
    environment: Environment, name: str
) -> None:
    (environment.site_packages / name).write_text("import no_such_module_anywhere\n")
    done = environment.attempt("-c", PRINT_API_URL, variables=ON)
    assert (done.returncode, done.stdout.strip()) == (0, PRIVATE_URL)
    assert "no_such_module_anywhere" in done.stderr


@pytest.mark.parametrize("name", ["aa_first.pth", "zz_last.pth"])
def test_a_start_up_file_that_imports_e2b_gets_it_patched(
    environment: Environment, libraries: Path, name: str
) -> None:
    line = f"import sys; sys.path.append({str(libraries)!r}); import e2b\n"
    (environment.site_packages / name).write_text(line)
    assert environment.api_url(ON) == PRIVATE_URL
    assert environment.api_url(OFF) == NATIVE_URL


# --- locales and paths ------------------------------------------------------------------------

C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
ENCODINGS = {
    "C": C_LOCALE,
    "latin-1 streams": {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"},
    "UTF-8 mode": {"LC_ALL": "C", "PYTHONUTF8": "1"},
}


@pytest.fixture(scope="module")
def far_away(tmp_path_factory: pytest.TempPathFactory, libraries: Path, wheel: Path) -> Environment:
    """An environment at a path that is long and not ASCII. Only to be looked at."""
    directory = tmp_path_factory.mktemp("far")
    for part in ("ein Wörterbuch", "沙箱 管理", "x" * 200, "y" * 200, "z" * 200, "'quo\"ted'"):
        directory = directory / part
    directory.mkdir(parents=True)
    environment = virtual_environment(directory / "environment", libraries)
    environment.install("uv", wheel)
    return environment


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_locale_and_path_do_not_matter(far_away: Environment, encoding: str) -> None:
    assert far_away.api_url({**ON, **ENCODINGS[encoding]}) == PRIVATE_URL


def test_a_misspelt_switch_can_be_told_in_any_locale(far_away: Environment) -> None:
    variables = {**ON, **C_LOCALE, "KRUISE_E2B_PATCH": "jä是"}
    assert_silent(far_away.attempt(*ALIVE, variables=variables))
    done = far_away.attempt("-c", "import e2b", variables=variables)
    assert_import_fails(done, "ConfigurationError: KRUISE_E2B_PATCH=")
