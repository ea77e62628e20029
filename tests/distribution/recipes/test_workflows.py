""".github/workflows is valid, asks tox for what it has, and may do no more than it must.

What else there is to say of it, actionlint says: ``tox -e workflows``.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs import tox_environments
from support import fresh
from support.checkout import CHECKOUT

WORKFLOWS = sorted((CHECKOUT / ".github" / "workflows").glob("*.yml"))
each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
FORMS = sorted((CHECKOUT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
SCHEMAS = {
    "vendor.github-issue-forms": [form for form in FORMS if form.stem != "config"],
    "vendor.github-issue-config": [form for form in FORMS if form.stem == "config"],
    "vendor.github-workflows": WORKFLOWS,
    "vendor.dependabot": [CHECKOUT / ".github" / "dependabot.yml"],
    "vendor.readthedocs": [CHECKOUT / ".readthedocs.yaml"],
}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_it_is_valid(schema: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema]
    done = subprocess.run(
        [*command, *map(str, SCHEMAS[schema])],
        env=fresh.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text("utf-8"))["jobs"]
    return found


def environments(job: dict[str, Any]) -> Iterator[str]:
    """What a job asks of tox, by name or by its matrix."""
    for step in job.get("steps", ()):
        for name in re.findall(r"\btox run .*?-e (\S+)", step.get("run", "")):
            if name == '"$ENVIRONMENT"':
                assert step["env"]["ENVIRONMENT"] == "${{ matrix.environment }}"
                yield from job["strategy"]["matrix"]["environment"]
            else:
                yield name


def test_every_environment_is_one_that_tox_has() -> None:
    asked = {
        name for path in WORKFLOWS for job in jobs(path).values() for name in environments(job)
    }
    assert asked - tox_environments.named() == set()
    assert len(asked) > 15


def test_a_push_asks_for_all_that_tox_runs_by_itself() -> None:
    (tests,) = [path for path in WORKFLOWS if path.stem == "tests"]
    asked = {name for job in jobs(tests).values() for name in environments(job)}
    assert set(tox_environments.listed()) - asked == set()


def test_each_python_is_the_one_of_its_environment_on_linux_and_on_macos() -> None:
    (tests,) = [path for path in WORKFLOWS if path.stem == "tests"]
    matrix = jobs(tests)["python"]["strategy"]["matrix"]
    assert matrix["os"] == ["ubuntu-latest", "macos-latest"]
    pairs = {(row["environment"], row["python"]) for row in matrix["include"]}
    assert pairs == {
        (f"py{series.replace('.', '')}", series) for series in tox_environments.pythons()
    }


@each_workflow
def test_nobody_may_more_than_he_must(path: Path) -> None:
    """A job that needs more than to read says so itself; and none runs for ever."""
    workflow = yaml.safe_load(path.read_text("utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    assert [
        name for name, job in workflow["jobs"].items() if not {"uses", "timeout-minutes"} & {*job}
    ] == []


@each_workflow
def test_every_action_is_pinned_to_a_major_version(path: Path) -> None:
    used = [
        step["uses"]
        for job in jobs(path).values()
        for step in job.get("steps", ())
        if "uses" in step
    ]
    assert used
    assert [
        action for action in used if not re.fullmatch(r"[\w./-]+@(v\d+|release/v\d+)", action)
    ] == []
