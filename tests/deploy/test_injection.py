"""The tree on every Python: from PYTHONPATH alone, read-only, as nobody, beside anything."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from deploy import contained
from deploy.contained import Container, Mount, NotAllowed
from deploy.prepare import OWN_WRAPT
from kruise_autopatch import __version__
from support import loopback

DOMAIN = {"E2B_DOMAIN": "kruise.test"}
ON = {**DOMAIN, "KRUISE_E2B_PATCH": "1", "KRUISE_E2B_HTTPS": "0"}
PRIVATE, NATIVE = "http://kruise.test/kruise/api", "https://api.kruise.test"
PRINT_API_URL = "import e2b; print(e2b.ConnectionConfig(api_key='e2b_00').api_url)"

# What runs at the start of every Python, and what runs when the SDK is imported.
AT_START = (
    "kruise_autopatch/__init__.py",
    "kruise_autopatch/start_up/__init__.py",
    "kruise_autopatch/start_up/borrowing.py",
)
AT_IMPORT = (
    "kruise_autopatch/start_up/gates.py",
    "kruise_autopatch/start_up/loader.py",
    "kruise_autopatch/activation.py",
    "kruise_autopatch/patches/engine.py",
    "kruise_autopatch/patches/configurations.py",
    "wrapt/__init__.py",
)

NOT_ACTIVE = r"kruise-autopatch: not active \(.*\)\n"


def replace_by_a_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2 - 7]),
    "empty": lambda file: file.write_bytes(b""),
    "zeros": lambda file: file.write_bytes(bytes(512)),
    "unreadable": lambda file: file.chmod(0),
    "missing": lambda file: file.unlink(),
    "a directory": replace_by_a_directory,
}


def injection(tree: Path) -> str:
    return str(tree / "kruise_autopatch" / "injected")


def run(
    command: Sequence[str], tree: Path, variables: dict[str, str], *path: str | Path
) -> subprocess.CompletedProcess[str]:
    """Run ``command`` with ``tree`` mounted read-only and on PYTHONPATH, and ``path`` after it."""
    python_path = os.pathsep.join([injection(tree), *map(str, path)])
    environment = loopback.guarded({**variables, "PYTHONPATH": python_path})
    mounts = [Mount(str(tree), str(tree))] if tree.exists() else []
    try:
        return contained.run(Container(command, mounts), environment)
    except NotAllowed as reason:
        pytest.skip(f"no mounts of our own here: {reason}")


def output(command: Sequence[str], tree: Path, variables: dict[str, str], *path: str | Path) -> str:
    done = run(command, tree, variables, *path)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_it_works_without_any_other_variable(python: str, tree: Path) -> None:
    assert output([python, "-c", PRINT_API_URL], tree, ON) == PRIVATE


def test_all_of_it_has_byte_code(python: str, tree: Path) -> None:
    # What it has compiled itself would be "code object from" a source file.
    done = run([python, "-v", "-c", PRINT_API_URL], tree, ON)
    assert done.returncode == 0
    loaded = [
        line.rpartition("code object from ")[2].strip("'")
        for line in done.stderr.splitlines()
        if "code object from " in line and str(tree) in line
    ]
    assert len(loaded) > len(AT_START) + len(AT_IMPORT)
    assert [path for path in loaded if not path.endswith(".pyc")] == []


def test_it_works_as_an_unknown_user_who_can_write_nothing(python: str, tree: Path) -> None:
    before = sorted(tree.rglob("*"))
    code = "import os; print(os.getuid(), os.access(os.environ['PYTHONPATH'], os.W_OK))"
    found = output([python, "-c", f"{code}\n{PRINT_API_URL}"], tree, ON)
    assert found == f"65534 False\n{PRIVATE}"
    assert sorted(tree.rglob("*")) == before


def test_unset_nothing_of_ours_is_loaded(python: str, tree: Path) -> None:
    code = (
        "import sys; print([m for m in sys.modules if m.startswith(('kruise', 'wrapt'))])\n"
        "print([f for f in sys.meta_path if 'kruise' in repr(f)])"
    )
    found = output([python, "-c", f"{PRINT_API_URL}\n{code}"], tree, DOMAIN)
    assert found == f"{NATIVE}\n[]\n[]"


def test_switched_off_the_sdk_is_native(python: str, tree: Path) -> None:
    code = "import sys; print('wrapt' in sys.modules)"
    variables = {**ON, "KRUISE_E2B_PATCH": "0"}
    assert output([python, "-c", f"{PRINT_API_URL}\n{code}"], tree, variables) == f"{NATIVE}\nFalse"


def test_without_the_sdk_a_program_loads_no_wrapt(python: str, tree: Path) -> None:
    loader = "kruise_autopatch.start_up.loader"
    code = f"import sys; print('wrapt' in sys.modules, {loader!r} in sys.modules)"
    assert output([python, "-c", code], tree, ON) == "False False"


def test_it_knows_its_version(python: str, tree: Path) -> None:
    found = output([python, "-m", "kruise_autopatch", "--version"], tree, ON)
    assert found == f"kruise-autopatch {__version__}"


def test_child_processes_are_patched_too(python: str, tree: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import multiprocessing, subprocess, sys\n"
        f"CODE = {PRINT_API_URL!r}\n"
        "def work(): exec(CODE)\n"
        "if __name__ == '__main__':\n"
        "    subprocess.run([sys.executable, '-c', CODE], check=True)\n"
        "    process = multiprocessing.get_context('spawn').Process(target=work)\n"
        "    process.start(); process.join()\n"
    )
    assert output([python, str(program)], tree, ON).splitlines() == [PRIVATE, PRIVATE]


# --- beside what the application has ---------------------------------------------------------


def own_wrapt(directory: Path, python: str) -> Path:
    version = Path(python).parents[1].name.removeprefix("python")
    return directory / f"wrapt{version}"


def test_the_applications_own_sitecustomize_wrapt_and_path(
    python: str, tree: Path, directory: Path, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import builtins; builtins.customized = __file__")
    (tmp_path / "mine.py").touch()
    own = own_wrapt(directory, python)
    code = (
        f"import mine; {PRINT_API_URL}; import wrapt\n"
        "print(customized); print(wrapt.__version__); print(wrapt.__file__)"
    )
    found = output([python, "-c", code], tree, ON, tmp_path, own).splitlines()
    assert found == [
        PRIVATE,
        str(tmp_path / "sitecustomize.py"),
        OWN_WRAPT,
        str(own / "wrapt" / "__init__.py"),
    ]


def test_the_applications_own_wrapt_goes_on_working(
    python: str, tree: Path, directory: Path
) -> None:
    code = (
        f"{PRINT_API_URL}; import wrapt\n"
        "@wrapt.decorator\n"
        "def twice(wrapped, instance, args, kwargs): return 2 * wrapped(*args, **kwargs)\n"
        "@twice\n"
        "def three(): return 3\n"
        "print(three(), type(three).__mro__[-2].__module__)"
    )
    found = output([python, "-c", code], tree, ON, own_wrapt(directory, python))
    # It is compiled, as the application installed it, and not mixed with ours, which is not.
    assert found == f"{PRIVATE}\n6 builtins"


def test_an_application_that_has_this_package_uses_its_own_once(
    python: str, tree: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    shutil.copytree(tree, own)
    code = (
        f"{PRINT_API_URL}\n"
        "import sys, kruise_autopatch; print(kruise_autopatch.__file__)\n"
        "print(sys.meta_path.count(sys.modules['kruise_autopatch']._FINDER))\n"
        "print([type(finder).__name__ for finder in sys.meta_path].count('Lender'))\n"
        "print(kruise_autopatch.status().source)"
    )
    found = output([python, "-c", code], tree, ON, own).splitlines()
    file = str(own / "kruise_autopatch" / "__init__.py")
    assert found == [PRIVATE, file, "1", "0", "environment"]


def test_the_application_finds_nothing_that_it_did_not_have(python: str, tree: Path) -> None:
    code = (
        "import importlib.util, sys\n"
        "names = ['licences'] + ['importlib_metadata', 'zipp'] * (sys.version_info >= (3, 10))\n"
        "print([name for name in names if importlib.util.find_spec(name)])"
    )
    assert output([python, "-c", code], tree, ON) == "[]"


def test_the_application_can_patch_by_hand(python: str, tree: Path) -> None:
    code = f"from kruise_agents.e2b import patch_e2b; patch_e2b(); {PRINT_API_URL}"
    assert output([python, "-c", code], tree, ON) == PRIVATE.replace("http:", "https:")


# --- it never stops an application ------------------------------------------------------------


def damaged(tree: Path, tmp_path: Path, name: str, damage: str) -> Path:
    """A tree with this file damaged. All others are linked to, by whole directories if possible."""
    copy = tmp_path / name.replace("/", "-")
    copy.mkdir()
    there, here = tree, copy
    for step in name.split("/"):
        for entry in there.iterdir():
            if entry.name != step:
                (here / entry.name).symlink_to(entry)
        there, here = there / step, here / step
        if there.is_dir():
            here.mkdir()
    shutil.copy2(there, here)
    DAMAGES[damage](here)
    return copy


@pytest.mark.parametrize("damage", DAMAGES)
def test_with_a_damaged_tree_the_application_starts(
    python: str, tree: Path, tmp_path: Path, damage: str
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("print('customized')")
    program = [python, "-c", "print('alive'); raise SystemExit(5)"]
    for name in AT_START:
        done = run(program, damaged(tree, tmp_path, name, damage), ON, own)
        assert (done.returncode, done.stdout) == (5, "customized\nalive\n"), (name, done.stderr)
        # At most one line: some damages do no harm.
        assert done.stderr == "" or re.fullmatch(NOT_ACTIVE, done.stderr), (name, done.stderr)


@pytest.mark.parametrize("damage", DAMAGES)
def test_with_a_damaged_sitecustomize_the_application_starts(
    python: str, tree: Path, tmp_path: Path, damage: str
) -> None:
    broken = damaged(tree, tmp_path, "kruise_autopatch/injected/sitecustomize.py", damage)
    done = run([python, "-c", "print('alive'); raise SystemExit(5)"], broken, ON)
    assert (done.returncode, done.stdout) == (5, "alive\n")
    # What CPython says of a sitecustomize that it cannot read.
    assert len(done.stderr.splitlines()) in (0, 2), done.stderr


def test_with_a_tree_that_cannot_start_the_sdk_cannot_be_imported(
    python: str, tree: Path, tmp_path: Path
) -> None:
    broken = damaged(tree, tmp_path, "kruise_autopatch/__init__.py", "truncated")
    done = run([python, "-c", f"print('alive')\n{PRINT_API_URL}"], broken, ON)
    assert (done.returncode, done.stdout) == (1, "alive\n")
    notice, *_, error = done.stderr.splitlines()
    assert re.fullmatch(NOT_ACTIVE, f"{notice}\n")
    assert error.startswith("ImportError: kruise-autopatch is on, but its files in ")
    off = run([python, "-c", PRINT_API_URL], broken, {**ON, "KRUISE_E2B_PATCH": "0"})
    assert (off.returncode, off.stdout, off.stderr) == (0, f"{NATIVE}\n", "")


@pytest.mark.parametrize("damage", ["truncated", "unreadable", "missing"])
def test_with_a_tree_that_cannot_patch_the_sdk_cannot_be_imported(
    newest: str, tree: Path, tmp_path: Path, damage: str
) -> None:
    for name in AT_IMPORT:
        done = run(
            [newest, "-c", f"print('alive')\n{PRINT_API_URL}"],
            damaged(tree, tmp_path, name, damage),
            ON,
        )
        assert (done.returncode, done.stdout) == (1, "alive\n"), name


@pytest.mark.parametrize("kind", ["missing", "empty", "unreadable", "a file"])
def test_without_the_tree_the_application_starts(python: str, tmp_path: Path, kind: str) -> None:
    volume = tmp_path / "tree"
    if kind == "a file":
        volume.write_text("")
    elif kind != "missing":
        volume.mkdir(0o000 if kind == "unreadable" else 0o755)
    done = run([python, "-c", "print('alive')"], volume, ON)
    assert (done.returncode, done.stdout, done.stderr) == (0, "alive\n", "")


def test_an_older_python_is_left_alone(older_python: str, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.customized = 'customized'")
    code = (
        "import sys; sys.stdout.write(sys.customized + ' ' + str([m for m in sys.modules"
        " if m.startswith('kruise')])); sys.exit(5)"
    )
    done = run([older_python, "-c", code], tree, ON, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (5, "customized []", "")
