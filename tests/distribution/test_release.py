"""A checkout that is not ready does not become a release."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kruise_autopatch import __version__
from support.checkout import CHECKOUT

REPOSITORY = "https://git.example.com/us/it"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What the program reads, made ready."""
    shutil.copytree(CHECKOUT / "build_support", tmp_path / "build_support")
    (tmp_path / "kruise_autopatch").mkdir()
    shutil.copy(CHECKOUT / "kruise_autopatch" / "_version.py", tmp_path / "kruise_autopatch")
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n## {__version__} - 2026-11-30\n")
    identity = tmp_path / "build_support" / "identity.py"
    text, changes = re.subn(
        r"^(REPOSITORY: .* =) .*$", rf'\1 "{REPOSITORY}"', identity.read_text("utf-8"), flags=re.M
    )
    assert changes == 1
    identity.write_text(text, "utf-8")
    return tmp_path


def objections(checkout: Path, tag: str, repository: str) -> tuple[int, list[str]]:
    command = [sys.executable, "-m", "build_support.release", tag, repository]
    variables = {**os.environ, "PYTHONSAFEPATH": ""}
    done = subprocess.run(
        command, cwd=checkout, env=variables, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr.splitlines()


def test_one_that_is_ready_does(checkout: Path) -> None:
    assert objections(checkout, f"v{__version__}", REPOSITORY) == (0, [])


def test_each_objection_says_what_to_change(checkout: Path) -> None:
    (checkout / "CHANGELOG.md").write_text(f"# Changelog\n\n## {__version__} (unreleased)\n")
    status, said = objections(checkout, "v9.9", "https://git.example.com/others/it")
    assert status == 1
    assert [line.rpartition(": ")[2] for line in said] == [
        "change kruise_autopatch/_version.py",
        "date the unreleased one",
        "change build_support/identity.py",
    ]
