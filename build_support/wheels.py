"""Build the wheels of both distributions, with the setuptools of this interpreter.

    python -m build_support.wheels DIRECTORY

From a copy of their sources: setuptools leaves files in what it builds from, and takes up what an
earlier build has left there.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent

# What kruise-autopatch is made from; kruise-autopatch-local needs all of it and its own directory.
SOURCES = (
    "build_support",
    "kruise_agents",
    "kruise_agents-stubs",
    "kruise_agents.py",
    "kruise_autopatch",
    "kruise_autopatch.pth",
    "pyproject.toml",
    "setup.cfg",
    "LICENSE",
    "MANIFEST.in",
    "README.md",
)
LOCAL = "local"

_LITTER = shutil.ignore_patterns("__pycache__", "build", "dist", "*.egg-info")

# Isolated, as in an installer: the build must not count on the current directory.
_BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the wheels of both distributions.")
    parser.add_argument("directory", type=Path, help="what it has of our wheels is replaced")
    directory: Path = parser.parse_args().directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.glob("kruise_autopatch*.whl"):
        old.unlink()
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary)
        copy_sources([*SOURCES, LOCAL], copy)
        for source in (copy, copy / LOCAL):
            _build(source, directory)
    print("\n".join(str(wheel) for wheel in sorted(directory.glob("kruise_autopatch*.whl"))))


def copy_sources(names: Iterable[str], directory: Path) -> None:
    """Copy these files and directories of the checkout, without what builds left in them."""
    for name in names:
        if (CHECKOUT / name).is_dir():
            shutil.copytree(CHECKOUT / name, directory / name, ignore=_LITTER)
        else:
            shutil.copy(CHECKOUT / name, directory / name)


def _build(source: Path, directory: Path) -> None:
    command = [sys.executable, "-I", "-c", _BUILD, str(directory)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(
            f"{done.stdout}{done.stderr}error: there is no wheel. If setuptools is missing, or"
            " older than 70.1: pip install --upgrade setuptools"
        )


if __name__ == "__main__":
    main()
