"""OpenKruise's import name, where OpenKruise's own package is not installed.

Python prefers a directory with an ``__init__.py`` to a module beside it, and a module to a
directory without one. So this module stands behind OpenKruise's package where that is a regular
one, and otherwise makes itself a package: of every directory of this name, and last, of our own
modules. No file of ours has the name of one of theirs, and nothing is loaded before somebody
imports this.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec, PathFinder

import kruise_autopatch


def _find() -> list[ModuleSpec]:
    """Everything of this name, in the order in which Python looks for it."""
    found: list[ModuleSpec | None] = []
    for finder in sys.meta_path:
        if finder is PathFinder:
            found += [PathFinder.find_spec(__name__, [entry]) for entry in sys.path]
        elif hasattr(finder, "find_spec"):
            found.append(finder.find_spec(__name__, None))
    return [spec for spec in found if spec is not None]


def _is_regular_package(spec: ModuleSpec) -> bool:
    return os.path.basename(spec.origin or "").startswith("__init__.")


def _directories(specs: list[ModuleSpec]) -> list[str]:
    theirs = [directory for spec in specs for directory in spec.submodule_search_locations or ()]
    beside = os.path.join(os.path.dirname(__file__), __name__)
    ours = [os.path.join(directory, __name__) for directory in kruise_autopatch.__path__]
    return list(dict.fromkeys([*theirs, beside, *ours]))


_specs = _find()
_theirs = next(filter(_is_regular_package, _specs), None)
if _theirs is not None and _theirs.loader is not None:
    # It comes later on the path, and so was not found before this module. It is to be whole.
    _module = importlib.util.module_from_spec(_theirs)
    sys.modules[__name__] = _module
    _theirs.loader.exec_module(_module)
else:
    __path__ = _directories(_specs)
