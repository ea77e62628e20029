"""``kruise-autopatch run``: the hook where no ``.pth`` is processed; the program stays its own."""

from __future__ import annotations

import ast
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli import doctoring
from kruise_autopatch import PACKAGES
from kruise_autopatch.cli.run import INJECTED
from support import fresh
from support.installations import copy_of_ours

RUN = ("-m", "kruise_autopatch", "run")

PRINT_API_URL = "import e2b; print(e2b.ConnectionConfig().api_url)"
PRIVATE = "http://kruise.test/kruise/api"
NATIVE = "https://api.kruise.test"
DOMAIN = {"E2B_DOMAIN": "kruise.test"}
ON = {**DOMAIN, "KRUISE_E2B_PATCH": "1", "KRUISE_E2B_HTTPS": "0"}


def path(*entries: str | Path) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join(map(str, entries))}


def injected(tree: Path) -> Path:
    return tree / "kruise_autopatch" / "injected"


def output(command: list[str], variables: dict[str, str]) -> str:
    done = doctoring.run(command, variables)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def printed(code: str) -> str:
    """What a program prints that is started by ``run``, in the environment under test."""
    return output([sys.executable, *RUN, "--", sys.executable, "-c", code], DOMAIN)


# --- it works where a .pth file does not -----------------------------------------------------


def test_in_a_target_directory(bare: str, target: Path, sdk_only: Path) -> None:
    variables = path(target, sdk_only)
    program = [bare, "-c", PRINT_API_URL]
    assert output(program, {**ON, **variables}) == NATIVE
    command = [bare, *RUN, "--no-https", "--domain", "kruise.test", "--", *program]
    assert output(command, variables) == PRIVATE


def test_a_copy_of_the_tree_needs_nothing_but_pythonpath(
    bare: str, target: Path, sdk_only: Path
) -> None:
    variables = {**ON, **path(injected(target), sdk_only)}
    assert output([bare, "-c", PRINT_API_URL], variables) == PRIVATE


def test_off_the_copy_does_nothing(bare: str, target: Path, sdk_only: Path) -> None:
    variables = {**DOMAIN, **path(injected(target), sdk_only)}
    code = f"import sys; print('kruise_autopatch' in sys.modules); {PRINT_API_URL}"
    assert output([bare, "-c", code], variables) == f"False\n{NATIVE}"


def test_the_application_finds_nothing_else_beside_the_copy(
    bare: str, target: Path, sdk_only: Path, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(target, tree)
    (tree / "something_else.py").write_text("")
    code = "import importlib.util; print(importlib.util.find_spec('something_else'))"
    assert output([bare, "-c", code], {**ON, **path(injected(tree), sdk_only)}) == "None"


def test_the_applications_own_wrapt_comes_first(
    bare: str, target: Path, sdk_only: Path, tmp_path: Path
) -> None:
    own = copy_of_ours(tmp_path / "own", ("wrapt",))
    code = f"import wrapt; print(wrapt.__file__); {PRINT_API_URL}"
    printed = output([bare, "-c", code], {**ON, **path(injected(target), own, sdk_only)})
    assert printed.splitlines() == [str(own / "wrapt" / "__init__.py"), PRIVATE]


def test_beside_the_start_up_file_there_is_one_finder() -> None:
    code = "import sys, kruise_autopatch as s; print(sys.meta_path.count(s._FINDER))"
    assert printed(code) == "1"


def test_child_processes_are_patched_too(
    bare: str, target: Path, sdk_only: Path, tmp_path: Path
) -> None:
    script = tmp_path / "program.py"
    script.write_text(
        "import multiprocessing, os, subprocess, sys\n"
        f"CODE = {PRINT_API_URL!r}\n"
        "def work(): exec(CODE)\n"
        "if __name__ == '__main__':\n"
        "    subprocess.run([sys.executable, '-c', CODE], check=True)\n"
        "    context = multiprocessing.get_context('spawn')\n"
        "    process = context.Process(target=work); process.start(); process.join()\n"
        "    os.execv(sys.executable, [sys.executable, '-c', CODE])\n"
    )
    command = [bare, *RUN, "--no-https", "--domain=kruise.test", bare, str(script)]
    assert output(command, path(target, sdk_only)).splitlines() == [PRIVATE] * 3


# --- variables ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "given", "expected"),
    [
        ([], {}, ["1", None, None]),
        (["--https"], {"KRUISE_E2B_HTTPS": "0"}, ["1", "1", None]),
        (["--no-https"], {}, ["1", "0", None]),
        ([], {"KRUISE_E2B_HTTPS": "0"}, ["1", "0", None]),
        (["--domain", "a.test:81"], {"E2B_DOMAIN": "b.test"}, ["1", None, "a.test:81"]),
        ([], {"KRUISE_E2B_PATCH": "0"}, ["0", None, None]),
        ([], {"KRUISE_E2B_PATCH": ""}, ["1", None, None]),
    ],
)
def test_the_variables_that_the_program_gets(
    options: list[str], given: dict[str, str], expected: list[str | None]
) -> None:
    code = (
        "import json, os; print(json.dumps([os.environ.get(n)"
        " for n in ('KRUISE_E2B_PATCH', 'KRUISE_E2B_HTTPS', 'E2B_DOMAIN')]))"
    )
    done = fresh.run([*RUN, *options, "--", sys.executable, "-c", code], given)
    assert done.stdout.replace("null", "None").strip() == str(expected).replace("'", '"')


def test_the_users_pythonpath_is_kept(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("print('mine')")
    code = "import mine, os; print(os.environ['PYTHONPATH'])"
    command = [*RUN, "--", sys.executable, *RUN, "--", sys.executable, "-c", code]
    done = fresh.run(command, path(tmp_path))
    # Run twice, it is there once.
    assert done.stdout.splitlines() == ["mine", f"{INJECTED}{os.pathsep}{tmp_path}"]


def test_the_programs_path_is_the_same_as_without(tmp_path: Path) -> None:
    code = "import sys; print(sys.path)"
    without = fresh.output(code, path(tmp_path))
    done = fresh.run([*RUN, sys.executable, "-c", code], path(tmp_path))
    assert done.stdout.strip() == without


# --- the application's own sitecustomize ---------------------------------------------------------


def test_the_applications_sitecustomize_runs_and_is_the_module(tmp_path: Path) -> None:
    own = tmp_path / "sitecustomize.py"
    own.write_text("import sys; sys.customized = sys.flags, __name__")
    code = (
        "import sys, sitecustomize, kruise_autopatch\n"
        "print(sys.customized[1], sitecustomize.__file__)"
    )
    done = fresh.run([*RUN, "--", sys.executable, "-c", code], path(tmp_path))
    assert (done.stdout.strip(), done.stderr) == (f"sitecustomize {own}", "")


@pytest.mark.parametrize(
    "source",
    ["raise RuntimeError('theirs')", "import no_such_module", "1 +", "import sitecustomize"],
)
def test_an_error_in_the_applications_sitecustomize_is_reported_as_ever(
    source: str, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(source)
    stock = fresh.run(["-c", "print('alive')"], path(tmp_path))
    done = fresh.run([*RUN, sys.executable, "-c", "print('alive')"], path(tmp_path))
    # The process that runs `run` reports it first.
    assert done.stderr == stock.stderr * 2
    assert done.stdout == stock.stdout == "alive\n"


def test_without_any_sitecustomize_importing_it_finds_ours() -> None:
    # Debian's own Python has one.
    code = "import sys; print(getattr(sys.modules.get('sitecustomize'), '__file__', ''))"
    native = fresh.output(code)
    assert printed(code).endswith(native or os.path.join("injected", "sitecustomize.py"))


# --- the program is its own ------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="there is no exec")
def test_the_program_takes_the_place_of_the_process() -> None:
    code = "import os, sys; print(os.getpid(), sys.argv[1:], sys.stdin.read()); sys.exit(7)"
    command = [sys.executable, *RUN, "--no-https", "--", sys.executable, "-c", code]
    process = subprocess.Popen(
        [*command, "a", "--", "--json", "-h"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=fresh.environment(),
        text=True,
    )
    printed, _ = process.communicate("typed")
    assert printed.strip() == f"{process.pid} ['a', '--', '--json', '-h'] typed"
    assert process.returncode == 7


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_signal_reaches_the_program() -> None:
    code = "import time; print('ready', flush=True); time.sleep(180)"
    command = [sys.executable, *RUN, "--", sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=fresh.environment()) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
    assert process.returncode == -signal.SIGTERM


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_no_signal_is_ignored_that_the_program_would_get() -> None:
    # yes ends silently by SIGPIPE; ignoring that, it complains, or goes on for ever.
    done = fresh.run([*RUN, "--", "sh", "-c", "yes | head -n 1"])
    assert (done.returncode, done.stdout, done.stderr) == (0, "y\n", "")


def test_without_two_dashes_the_programs_options_are_the_programs() -> None:
    code = "import sys; print(sys.argv[1:])"
    done = fresh.run([*RUN, "--https", sys.executable, "-c", code, "--https", "--", "x"])
    assert done.stdout.strip() == "['--https', '--', 'x']"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 2, "name the program, such as: kruise-autopatch run -- python your_program.py"),
        (["--"], 2, "name the program"),
        (["--https"], 2, "name the program"),
        (["--nonsense", "python"], 2, "--nonsense"),
        (["--domain", "https://a.test", "--", "python"], 2, "--domain='https://a.test' has a"),
        (["--", "no-such-program"], 127, "there is no program 'no-such-program' on PATH"),
        (["--", "app.py"], 127, "on PATH; write: python app.py"),
        (["--", "/no/such/program"], 127, "there is no program '/no/such/program'\n"),
        (["--", __file__], 126, f"is no program; write: python {__file__}"),
        (["--", "/"], 126, "'/' cannot be run: "),
    ],
)
def test_a_program_that_cannot_be_run(arguments: list[str], status: int, message: str) -> None:
    done = fresh.run([*RUN, *arguments])
    assert done.returncode == status
    assert message in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert "kruise-autopatch run: error: " in done.stderr or "unrecognized" in done.stderr


# --- it never stops an application -----------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("start_up/__init__.py", "raise RuntimeError('broken on purpose')"),
        ("start_up/__init__.py", "1 +"),
        ("start_up/__init__.py", "import no_such_module"),
        ("start_up/borrowing.py", "raise RuntimeError('broken on purpose')"),
        ("__init__.py", "raise RuntimeError('broken on purpose')"),
    ],
)
def test_a_damaged_tree_lets_the_application_start(
    bare: str, target: Path, tmp_path: Path, module: str, source: str
) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(target, tree)
    (tree / "kruise_autopatch" / module).write_text(source)
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("print('customized')")
    variables = {**ON, **path(injected(tree), own)}
    done = doctoring.run([bare, "-c", "print('alive')"], variables)
    assert (done.returncode, done.stdout) == (0, "customized\nalive\n")
    (line,) = done.stderr.splitlines()
    assert line.startswith("kruise-autopatch: not active (")

    for package in PACKAGES:
        done = doctoring.run([bare, "-c", f"import {package}"], variables)
        error = done.stderr.splitlines()[-1]
        assert error.startswith(f"ImportError: kruise-autopatch is on, but its files in {tree}")


def test_the_oldest_pythons_can_read_the_file() -> None:
    source = Path(INJECTED, "sitecustomize.py").read_text()
    ast.parse(source, feature_version=(3, 4))
    assert source.isascii()


def _older() -> list[str]:
    names = ["python2.7", "python3.6", "python3.7", "python3.8"]
    found = [name for name in names if shutil.which(name)]
    # A version manager has shims for releases that are not chosen.
    return [n for n in found if subprocess.run([n, "-V"], capture_output=True).returncode == 0]


@pytest.mark.parametrize("python", _older() or [None])
def test_an_older_python_is_left_alone(python: str | None, target: Path, tmp_path: Path) -> None:
    if python is None:
        pytest.skip("no Python older than 3.9 here")
    own = tmp_path / "sitecustomize.py"
    own.write_text("import sys; sys.stdout.write('customized ')")
    variables = {**ON, **path(injected(target), tmp_path)}
    code = "import sys; sys.stdout.write(str('kruise_autopatch' in sys.modules))"
    done = doctoring.run([python, "-c", code], variables)
    assert (done.returncode, done.stdout, done.stderr) == (0, "customized False", "")
