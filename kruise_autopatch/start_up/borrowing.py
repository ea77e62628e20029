"""Lets an interpreter without this package import it, and what it needs, from elsewhere.

Not by way of ``sys.path``: the directory may be the site-packages of another environment, and
the application is not to find anything else of that. Imported at start-up, so it is small.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_NAMES = ["kruise_autopatch", "kruise_agents", "wrapt"]
# Elsewhere we have no use for it, but an application that looks whether it is there might.
if sys.version_info < (3, 10):
    _NAMES += ["importlib_metadata", "zipp"]


class Lender:
    """The last of the ``sys.meta_path`` finders: what the application has itself comes first."""

    def __init__(self, root: str) -> None:
        self._root = root

    def find_spec(
        self, fullname: str, path: object = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The import system's question (PEP 451)."""
        if fullname in _NAMES:
            return PathFinder.find_spec(fullname, [self._root], target)
        return None


def install(root: str) -> None:
    """Lend from the directory ``root``."""
    sys.meta_path.append(Lender(root))
