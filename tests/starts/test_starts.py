"""Every way in which Python itself can start a program; see docs/ways-of-starting.md."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from support import fresh
from support.programs import ON, PRIVATE, URL

PROGRAM = f"print({URL})\n"

# Beside those of test_import_hook.py.
FLAGS = [
    "-B",
    "-OO",
    "-u",
    "-v",
    "-b",
    "-X dev",
    "-X importtime",
    "-X faulthandler",
    "-X utf8",
    "-X pycache_prefix=caches",
]
if sys.version_info >= (3, 11):
    FLAGS += ["-P", "-X frozen_modules=off"]
if sys.version_info >= (3, 15):
    FLAGS += ["-X lazy_imports=all"]


@pytest.mark.parametrize("flag", FLAGS)
def test_flags_do_not_matter(flag: str) -> None:
    done = fresh.run([*flag.split(), "-W", "ignore", "-c", PROGRAM], ON)
    assert done.stdout.strip() == PRIVATE, done.stderr[-2000:]
    assert "kruise" not in done.stderr or flag in ("-v", "-X importtime")


def test_developer_mode_has_nothing_to_say_about_us() -> None:
    flags = ("-X", "dev", "-W", "always")
    patched = fresh.run([*flags, "-c", PROGRAM], ON)
    assert "kruise_autopatch" not in patched.stderr
    assert patched.stdout.strip() == PRIVATE


def test_a_file_is_patched(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    assert fresh.run([str(program)], ON).stdout.strip() == PRIVATE


def test_a_directory_is_patched(tmp_path: Path) -> None:
    (tmp_path / "__main__.py").write_text(PROGRAM)
    assert fresh.run([str(tmp_path)], ON).stdout.strip() == PRIVATE


@pytest.mark.parametrize("arguments", [(), ("-",)])
def test_a_program_on_standard_input_is_patched(arguments: tuple[str, ...]) -> None:
    assert feed(PROGRAM, *arguments).stdout.strip() == PRIVATE


def feed(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``python ARGUMENTS`` with ``text`` on its standard input."""
    with tempfile.TemporaryDirectory() as elsewhere:
        return subprocess.run(
            [sys.executable, *arguments],
            input=text,
            env=fresh.environment(ON),
            cwd=elsewhere,
            capture_output=True,
            text=True,
            timeout=fresh.PATIENCE,
            check=False,
        )


@pytest.mark.parametrize("before", ["-m cProfile", "-m runpy"])
def test_a_module_that_runs_programs_runs_them_patched(before: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    target = "program" if before.endswith("runpy") else str(program)
    done = fresh.run([*before.split(), target], {**ON, "PYTHONPATH": str(tmp_path)})
    assert PRIVATE in done.stdout.splitlines(), done.stderr


def test_the_debugger_runs_programs_patched(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    assert PRIVATE in feed("continue\nquit\n", "-m", "pdb", str(program)).stdout


def test_unittest_runs_tests_patched(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import unittest\n"
        "class Test(unittest.TestCase):\n"
        "    def test_it(self):\n"
        f"        self.assertEqual({URL}, {PRIVATE!r})\n"
    )
    done = fresh.run(["-m", "unittest", "test_it"], {**ON, "PYTHONPATH": str(tmp_path)})
    assert "Ran 1 test" in done.stderr
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("start_up", [None, "import e2b\n"])
@pytest.mark.parametrize("basic", ["0", "1"])
def test_what_is_typed_at_the_prompt_is_patched(
    start_up: str | None, basic: str, tmp_path: Path
) -> None:
    if basic == "1" and sys.version_info < (3, 13):
        pytest.skip("there is one kind of prompt before Python 3.13")
    # PYTHON_BASIC_REPL chooses the older of the two.
    variables = {**ON, "TERM": "xterm", "PYTHON_BASIC_REPL": "1" if basic == "1" else ""}
    if start_up is not None:
        (tmp_path / "start_up.py").write_text(start_up)
        variables["PYTHONSTARTUP"] = str(tmp_path / "start_up.py")
    lines = ["from e2b import ConnectionConfig", "ConnectionConfig(api_key='k').api_url"]
    assert f"'{PRIVATE}'" in typed(lines, variables)


def typed(lines: list[str], variables: dict[str, str]) -> str:
    """What a terminal shows after ``lines`` have been typed at Python's prompt."""
    import pty

    terminal, its = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-q"],
        env=fresh.environment(variables),
        cwd=tempfile.gettempdir(),
        stdin=its,
        stdout=its,
        stderr=its,
    )
    os.close(its)
    shown = b""
    try:
        for line in [*lines, "exit()"]:
            shown += read_until_prompt(terminal)
            os.write(terminal, line.encode() + b"\r")
        while chunk := read(terminal):
            shown += chunk
    finally:
        os.close(terminal)
        process.wait()
    return shown.decode(errors="replace")


def read_until_prompt(terminal: int) -> bytes:
    shown = b""
    while b">>> " not in shown:
        chunk = read(terminal)
        assert chunk, f"no prompt: {shown!r}"
        shown += chunk
    return shown


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux says that the other end is closed
        return b""


POOLS = {
    "processes": "ProcessPoolExecutor(1)",
    "spawned processes": "ProcessPoolExecutor(1, multiprocessing.get_context('spawn'))",
    "threads": "ThreadPoolExecutor(4)",
}
if sys.version_info >= (3, 14):
    POOLS["interpreters"] = "InterpreterPoolExecutor(1)"


@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)
@pytest.mark.parametrize("parent", ["pass", "import e2b"])
def test_workers_of_concurrent_futures_are_patched(pool: str, parent: str, tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text(f"def api_url():\n    return {URL}\n")
    program = tmp_path / "program.py"
    program.write_text(
        "import multiprocessing\n"
        "from concurrent.futures import *\n"
        "import work\n"
        "if __name__ == '__main__':\n"
        f"    {parent}\n"
        f"    with {pool} as pool:\n"
        "        print(pool.submit(work.api_url).result())\n"
    )
    done = fresh.run([str(program)], ON)
    # pyqwest, the transport of e2b from 2.38 on, so that native programs meet it, too.
    refusal = "pyqwest._pyqwest does not support loading in subinterpreters"
    if "Interpreter" in pool and refusal in fresh.run([str(program)]).stderr:
        assert refusal in done.stderr
        pytest.skip("this release of the SDK cannot be imported there, patched or not")
    assert done.stdout.strip() == PRIVATE, done.stderr


def test_a_module_run_by_runpy_in_this_process_is_patched(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(f"url = {URL}")
    code = (
        "import runpy\n"
        f"ran = runpy.run_path({str(tmp_path / 'program.py')!r}, run_name='__main__')\n"
        "result = ran['url']"
    )
    assert fresh.value(code, ON) == PRIVATE
