"""Every command that a page shows is one that its program takes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs import commands, tox_environments
from support.checkout import CHECKOUT

# docs/from-nothing.md has tests of its own, which run its commands: deploy/test_from_nothing.py.
PAGES = [
    page
    for page in [
        *sorted(CHECKOUT.glob("*.md")),
        *sorted((CHECKOUT / "docs").rglob("*.md")),
        *(CHECKOUT / room / "README.md" for room in ("benchmarks", "local", "tests")),
    ]
    if page.name != "from-nothing.md"
]
BLOCKS = {
    f"{page.relative_to(CHECKOUT).as_posix()}-{number}": block
    for page in PAGES
    for number, block in enumerate(commands.blocks(page), start=1)
}
ANSWERED = [
    block
    for block in commands.blocks(CHECKOUT / "docs" / "command-line.md")
    if block.startswith("$ ") and "doctor" not in block
]


def test_commands_are_found() -> None:
    """If the reader of the pages finds nothing, the test below says nothing."""
    pages = {name.rpartition("-")[0] for name in BLOCKS}
    asked = {"README.md", "docs/installing.md", "docs/ways-in.md", "docs/ci.md"}
    assert pages >= asked | {"README.zh.md", "docs/command-line.md", "CONTRIBUTING.md"}
    assert len(BLOCKS) > 50


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_every_command_is_one_that_its_program_takes(block: str) -> None:
    lines = commands.lines_of(block)
    checked = [command for line in lines for command in commands.commands_of(strip(line))]
    assert checked
    assert [problem for problem in map(commands.problem, checked) if problem] == []


def test_the_table_of_environments_is_that_of_tox() -> None:
    page = (CHECKOUT / "CONTRIBUTING.md").read_text("utf-8")
    (table,) = re.findall(r"^\| `python -m tox -e` \|.*\n((?:\|.*\n)+)", page, re.MULTILINE)
    named = set(re.findall(r"`(\w+)`", "".join(row.split("|")[1] for row in table.splitlines())))
    assert named - tox_environments.named() == set()
    # Of the Pythons, it names the first and the last.
    assert {name for name in tox_environments.listed() if name not in named} == {
        "py310",
        "py311",
        "py312",
    }


def strip(line: str) -> str:
    """Without a comment at the end, which not every shell knows in an interactive line."""
    return line.partition(" # ")[0]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("kruise-autopatch docter", "refuses"),
        ("python -m kruise_autopatch doctor --online", "refuses"),
        ("kruise-autopatch run --env-fil .env -- python other_program.py", "no such files"),
        ("kruise-autopatch run [--http]", "lacks"),
        ("kruise-autopatch-local --prot 8888", "refuses"),
        ("pip install kruise-autopatched", "no distribution"),
        ("pip install 'kruise-autopatch[locale]'", "extras"),
        ("pip install '.[locale]'", "extras"),
        ("export KRUISE_E2B_PATHC=1", "nothing reads"),
        ("E2B_DOMAINS=x kruise-autopatch doctor", "nothing reads"),
        ("python -m tox -e py27", "no environment"),
        ("kubectl -n team exec agent -- python -m kruise_autopatch docter", "refuses"),
        ("kubectl -n team edit pod/agent", "nobody checks"),
        ("kubectl apply -k deploy/admission/v0", "no such files"),
        ("cd tests && pytest -n 2 unit/test_nothing.py", "no such files"),
        ("python benchmarks/nothing.py", "no such files"),
        ("wget https://example.com", "nobody checks"),
    ],
)
def test_a_wrong_command_is_seen(line: str, reason: str) -> None:
    problems = [commands.problem(command) for command in commands.commands_of(line)]
    assert [problem for problem in problems if problem and reason in problem]


@pytest.mark.parametrize("block", ANSWERED, ids=lambda block: block.split()[1])
def test_a_shown_answer_is_what_is_printed(block: str, tmp_path: Path) -> None:
    prompt, *shown = block.splitlines()
    directory = os.path.dirname(sys.executable)
    environment = {"PATH": f"{directory}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-c", prompt[2:]],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == shown


def test_there_are_answers() -> None:
    assert len(ANSWERED) == 2
