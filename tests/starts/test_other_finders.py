"""Finders of other people on ``sys.meta_path``: before ours, after ours, and broken."""

from __future__ import annotations

import sys

import pytest

from support import fresh
from support.programs import ON, PRIVATE, URL


def test_finders_that_do_not_care_about_e2b_change_nothing() -> None:
    # Python before 3.12 insists on one of the two methods itself.
    without = "class Without: pass" if sys.version_info >= (3, 12) else "Without = FirstKind"
    code = f"""
import sys, warnings
warnings.simplefilter("ignore")  # of Python, about finders of the first kind
class Finding:
    def find_spec(self, name, path=None, target=None): return None
class FirstKind:
    def find_module(self, name, path=None): return None
{without}
for place in (0, 2, len(sys.meta_path) + 2):
    sys.meta_path[place:place] = [Finding(), FirstKind(), Without()]
result = {URL}
"""
    assert fresh.value(code, ON) == PRIVATE


RAISING = """
import sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] {asked} "e2b":
            raise RuntimeError("my finder is broken")
finder = Finder()
sys.meta_path.insert({place}, finder)
"""


@pytest.mark.parametrize("place", ["0", "1"])
def test_the_error_of_another_finder_is_the_programs_and_the_next_import_is_patched(
    place: str,
) -> None:
    code = f"""
{RAISING.format(asked="==", place=place)}
errors = []
for _ in range(2):
    try:
        import e2b
    except RuntimeError as error:
        errors.append(str(error))
sys.meta_path.remove(finder)
result = errors, {URL}
"""
    assert fresh.value(code, ON) == [["my finder is broken"] * 2, PRIVATE]


def test_a_finder_that_raises_during_the_hook_leaves_nothing_native() -> None:
    # It lets e2b pass, and fails for what the hook itself has to import.
    code = f"""
import sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("wrapt", "kruise_autopatch"):
            raise RuntimeError("my finder is broken")
finder = Finder()
sys.meta_path.insert(0, finder)
errors = 0
for _ in range(2):
    try:
        import e2b
    except Exception as error:
        errors += 1
sys.meta_path.remove(finder)
result = errors, {URL}
"""
    assert fresh.value(code, ON) == [2, PRIVATE]


# Looks for e2b itself, as import hooks that rewrite modules do.
REWRITING = f"""
import sys
from importlib.machinery import PathFinder
class RewritingFinder:
    def find_spec(self, name, path=None, target=None):
        if name {{claims}}:
            return PathFinder.find_spec(name, path, target)
sys.meta_path.insert({{place}}, RewritingFinder())
result = {URL}
"""
CLAIMS = {"the package": "== 'e2b'", "and its submodules": ".partition('.')[0] == 'e2b'"}


@pytest.mark.parametrize("claims", CLAIMS.values(), ids=CLAIMS)
def test_a_finder_behind_ours_may_find_e2b(claims: str) -> None:
    assert fresh.value(REWRITING.format(claims=claims, place="1"), ON) == PRIVATE


def test_a_finder_before_ours_may_find_the_package_e2b() -> None:
    assert fresh.value(REWRITING.format(claims=CLAIMS["the package"], place="0"), ON) == PRIVATE


def test_a_finder_before_ours_may_find_all_of_e2b() -> None:
    claims = CLAIMS["and its submodules"]
    assert fresh.value(REWRITING.format(claims=claims, place="0"), ON) == PRIVATE


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="gone from Python 3.12")
def test_a_finder_of_the_first_kind_may_find_e2b() -> None:
    code = f"""
import sys, warnings
warnings.simplefilter("ignore")
from importlib.machinery import PathFinder
sys.meta_path.remove(PathFinder)
class Finder:
    find_distributions = staticmethod(PathFinder.find_distributions)
    def find_spec(self, name, path=None, target=None):
        return None if name == "e2b" else PathFinder.find_spec(name, path, target)
class FirstKind:
    def find_module(self, name, path=None):
        return PathFinder.find_spec(name, path).loader if name == "e2b" else None
sys.meta_path += [Finder(), FirstKind()]
result = {URL}
"""
    assert fresh.value(code, ON) == PRIVATE


def test_a_loader_of_the_first_kind_leaves_no_sdk_native() -> None:
    code = f"""
import sys, warnings
warnings.simplefilter("ignore")
from importlib.machinery import PathFinder, ModuleSpec
class Loader:
    def __init__(self, spec):
        self.spec = spec
    def load_module(self, name):
        import importlib.util
        module = importlib.util.module_from_spec(self.spec)
        sys.modules[name] = module
        self.spec.loader.exec_module(module)
        return module
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "e2b":
            native = PathFinder.find_spec(name, path)
            spec = ModuleSpec(name, Loader(native), origin=native.origin, is_package=True)
            spec.submodule_search_locations = native.submodule_search_locations
            return spec
sys.meta_path.insert(1, Finder())
result = {URL}
"""
    assert "kruise-autopatch is on, but cannot follow how e2b is imported" in fresh.error(code, ON)
