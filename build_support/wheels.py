"""Build the wheels of both distributions, with the setuptools of this interpreter.

    python -m build_support.wheels [--sdists] DIRECTORY

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
_BUILD = "import sys; from setuptools import build_meta; build_meta.{}(sys.argv[1])"


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the wheels of both distributions.")
    parser.add_argument("directory", type=Path, help="what it has of our archives is replaced")
    parser.add_argument("--sdists", action="store_true", help="the source archives, too")
    arguments = parser.parse_args()
    directory: Path = arguments.directory.resolve()
    hooks = ["build_wheel", "build_sdist"] if arguments.sdists else ["build_wheel"]
    directory.mkdir(parents=True, exist_ok=True)
    for old in _built(directory):
        old.unlink()
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary)
        copy_sources([*SOURCES, LOCAL], copy)
        for source in (copy, copy / LOCAL):
            for hook in hooks:
                _build(hook, source, directory)
    print("\n".join(str(archive) for archive in _built(directory)))


def copy_sources(names: Iterable[str], directory: Path) -> None:
    """Copy these files and directories of the checkout, without what builds left in them."""
    for name in names:
        if (CHECKOUT / name).is_dir():
            shutil.copytree(CHECKOUT / name, directory / name, ignore=_LITTER)
        else:
            shutil.copy(CHECKOUT / name, directory / name)


def _built(directory: Path) -> list[Path]:
    """Our archives there, whoever built them."""
    return sorted(
        path for kind in ("*.whl", "*.tar.gz") for path in directory.glob(f"kruise_autopatch{kind}")
    )


def _build(hook: str, source: Path, directory: Path) -> None:
    command = [sys.executable, "-I", "-c", _BUILD.format(hook), str(directory)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(
            f"{done.stdout}{done.stderr}error: {hook} failed. If setuptools is missing, or"
            " older than 70.1: pip install --upgrade setuptools"
        )


if __name__ == "__main__":
    main()
