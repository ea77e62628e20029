"""The checkout, and copies of it for what would leave litter in it."""

from __future__ import annotations

import shutil
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
TESTS = CHECKOUT / "tests"

_NOT_SOURCE = (".git", ".tox", ".venv", ".*_cache", "__pycache__", "build", "dist", "*.egg-info")


def copy_to(destination: Path) -> None:
    """Copy the sources to ``destination``, which must not exist."""
    shutil.copytree(CHECKOUT, destination, ignore=shutil.ignore_patterns(*_NOT_SOURCE))
