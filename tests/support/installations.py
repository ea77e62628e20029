"""Copies of the installed package, and environments for them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

SITE_PACKAGES = Path(sysconfig.get_path("purelib"))
# What the hook needs, wherever it is put.
OURS = ("kruise_autopatch", "kruise_agents", "wrapt", "importlib_metadata", "zipp")
START_UP_FILE = "kruise_autopatch.pth"


def copy_of_ours(destination: Path, names: tuple[str, ...] = OURS) -> Path:
    for name in names:
        if (SITE_PACKAGES / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(SITE_PACKAGES / name, destination / name, ignore=ignored)
    return destination


def virtual_environment(root: Path) -> Path:
    # The one below the environment of the tests, if that is a virtual one.
    base = Path(sys.base_prefix, "bin", "python{}.{}".format(*sys.version_info))
    subprocess.run([str(base), "-m", "venv", "--without-pip", str(root)], check=True)
    return root / "bin" / "python"


class Environment:
    """A virtual environment with a copy of our package, and the tests' own libraries."""

    def __init__(self, root: Path) -> None:
        self.python = str(virtual_environment(root))
        (self.site_packages,) = root.glob("lib/python*/site-packages")
        copy_of_ours(self.site_packages, ("kruise_autopatch",))
        shutil.copy(SITE_PACKAGES / START_UP_FILE, self.site_packages)
        # A directory that a .pth file adds is not searched for .pth files itself.
        (self.site_packages / "zz_libraries.pth").write_text(f"{SITE_PACKAGES}\n")
