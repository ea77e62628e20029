"""What ``kruise-autopatch`` and ``kruise-autopatch-local`` share: a version, and their build.

The second is built in a directory of its own, and from its sdist where there is nothing else. So
that sdist takes along what lies above it in the checkout.
"""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Sequence
from pathlib import Path

from build_support import reproducible

# The checkout; or an sdist, unpacked.
ROOT = Path(__file__).resolve().parent.parent

_VERSION = "kruise_autopatch/_version.py"
_SHARED = (
    _VERSION,
    "build_support/__init__.py",
    "build_support/identity.py",
    "build_support/reproducible.py",
    "build_support/shared.py",
)


def version() -> str:
    """Read, not imported: the interpreter may have started with an installed release of ours."""
    return str(runpy.run_path(str(ROOT / _VERSION))["__version__"])


class Sdist(reproducible.Sdist):
    """The sdist of a distribution that is built from a directory below the checkout."""

    def make_release_tree(self, base_dir: str, files: Sequence[str]) -> None:
        super().make_release_tree(base_dir, files)
        for name in _SHARED:
            copy = Path(base_dir, name)
            copy.parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, copy)
