"""Children of warm interpreters, beside a fresh interpreter."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import forked, fresh
from support.programs import ON

SEEN = """
import os, sys
ours = ("e2b", "kruise", "wrapt")
result = [sys.argv, __name__, "__file__" in globals(), sys.stdin.read(), os.listdir("."),
          sys.path[0], dict(os.environ),
          sorted(name for name in sys.modules if name.partition(".")[0].startswith(ours)),
          type(sys.meta_path).__name__]
"""
ENDS = """
import atexit, sys, threading, time
atexit.register(print, "last")
threading.Thread(target=lambda: (time.sleep(0.1), print("thread"))).start()
print("first")
sys.exit(int(sys.argv[1]) if sys.argv[1:] else 0)
"""


@pytest.mark.parametrize("variables", [{}, ON], ids=["off", "on"])
def test_they_see_the_same(variables: dict[str, str]) -> None:
    child, interpreter = forked.value(SEEN, variables), fresh.value(SEEN, variables)
    assert child == interpreter
    assert ("kruise_autopatch" in child[-2]) is bool(variables)


@pytest.mark.parametrize("arguments", [[], ["3"]])
def test_they_end_in_the_same_way(arguments: list[str], tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(ENDS)
    for command in (["-c", ENDS], [str(program)]):
        child, interpreter = (way.run([*command, *arguments]) for way in (forked, fresh))
        assert child.stdout == interpreter.stdout == "first\nthread\nlast\n"
        assert child.returncode == interpreter.returncode == (3 if arguments else 0)


@pytest.mark.parametrize("leaving", ["", "sys.exit()", "sys.exit(-1)", "sys.exit('why')", "1 / 0"])
def test_they_say_how_they_end(leaving: str) -> None:
    code = f"import sys\nsys.stdout.write('no newline')\n{leaving}"
    child, interpreter = (way.run(["-c", code]) for way in (forked, fresh))
    assert child.stdout == interpreter.stdout == "no newline"
    assert child.returncode == interpreter.returncode
    assert child.stderr.splitlines()[-1:] == interpreter.stderr.splitlines()[-1:]


def test_they_do_not_take_their_modules_apart() -> None:
    code = "class Last:\n    def __del__(self): print('taken apart')\nlast = Last()"
    assert [way.output(code) for way in (forked, fresh)] == ["", "taken apart"]


def test_they_raise_the_same() -> None:
    code = "def fail(): raise KeyError('a')\nfail()"
    assert forked.error(code) == fresh.error(code) == "KeyError: 'a'"


def test_a_file_finds_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "neighbour.py").write_text("NAME = __name__")
    program = tmp_path / "program.py"
    program.write_text("import neighbour, sys; print(neighbour.NAME, sys.argv[1:], __file__)")
    ways = [way.run([str(program), "a"]).stdout for way in (forked, fresh)]
    assert ways == [f"neighbour ['a'] {program}\n"] * 2


def test_one_that_is_patched_already_does_the_same_with_its_own_variables() -> None:
    code = (
        "import os, sys, e2b\nurl = e2b.ConnectionConfig(api_key='k').api_url\n"
        "result = url, dict(os.environ), sys.argv, os.listdir('.')"
    )
    variables = {"KRUISE_E2B_PATCH": "1", "E2B_DOMAIN": "other.test:8443"}
    child, interpreter = (way.value(code, variables) for way in (forked.patched, fresh))
    assert child == interpreter
    assert child[0] == "https://other.test:8443/kruise/api"


def test_one_that_has_the_sdk_already_has_it_as_it_is() -> None:
    code = "import e2b, sys\nresult = e2b.ConnectionConfig().api_url, 'wrapt' in sys.modules"
    off = {"E2B_DOMAIN": "other.test", "E2B_API_KEY": "e2b_00"}
    assert forked.native.value(code, {**ON, **off}) == fresh.value(code, off)
