"""The SDK's three packages in every order, each with and without a finder of others before it.

Invariant: while the switch is on, no client is ever built by an unpatched constructor, and what is
loaded is patched. It is looked at after every import.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from support import fresh
from support.children import IMPORT_ALL_ELSE, IN_CHILD
from support.programs import ON

PACKAGES = ("e2b", "e2b_code_interpreter", "e2b_desktop")

# What a client of each package says of itself. Built anew by each look, since what is looked at is
# the constructor.
CLIENTS = """
import importlib, sys
from importlib.machinery import PathFinder

class Tool:
    "Claims a package, as the import hooks of typeguard, logfire and jaxtyping do."
    def __init__(self, package, whole):
        self.package, self.whole = package, whole
    def find_spec(self, name, path=None, target=None):
        claimed = name.partition(".")[0] if self.whole else name
        return PathFinder.find_spec(name, path, target) if claimed == self.package else None

def sandbox(cls):
    from packaging.version import Version
    config = sys.modules["e2b"].ConnectionConfig(api_key="k")
    return cls(sandbox_id="s1", sandbox_domain=None, envd_version=Version("0.2.10"),
               envd_access_token=None, connection_config=config)

def of_e2b(e2b):
    config = e2b.ConnectionConfig(api_key="k")
    built = sandbox(e2b.Sandbox)
    return [config.api_url, built.get_host(80), built.envd_api_url, built.download_url("/f")]

def of_e2b_code_interpreter(package):
    return [sandbox(cls)._jupyter_url for cls in (package.Sandbox, package.AsyncSandbox)]

def of_e2b_desktop(package):
    from e2b_desktop.main import _VNCServer
    return [_VNCServer(sandbox(package.Sandbox)).get_url()]

def native(url):
    authority, slash, path = url.partition("://")[2].partition("/")
    private = (url if "://" in url else "http://" + url).startswith("http://kruise.test/kruise/")
    return not private

def look(loaded):
    for package in loaded:
        urls = globals()["of_" + package](sys.modules[package])
        yield from (url for url in urls if native(url))
"""

# Every subset of the packages that a tool may claim, each in a child of this interpreter: what it
# costs is importing the SDK.
EVERY_SUBSET = (
    CLIENTS
    + IN_CHILD
    + IMPORT_ALL_ELSE
    + """
import itertools

def run(order, claimed, whole):
    for package in order:
        if package in claimed:
            sys.meta_path.insert(0, Tool(package, whole))
        importlib.import_module(package)
        # e2b comes with each of the others.
        loaded = [name for name in ("e2b", *order) if name in sys.modules]
        wrong = list(look(loaded))
        if wrong:
            return [order, claimed, whole, package, wrong]
    import kruise_autopatch
    points = [point.name.partition(":")[0].partition(".")[0]
              for point in kruise_autopatch.status().patches if point.state == "applied"]
    unpatched = [name for name in order if name not in points]
    return [order, claimed, whole, "status", unpatched] if unpatched else None

PREPARATION
subsets = [s for n in range(len(ORDER) + 1) for s in itertools.combinations(ORDER, n)]
cases = [(ORDER, s, whole) for s in subsets for whole in ((False, True) if s else (False,))]
found = [in_child(run, *case) for case in cases]
result = [wrong for wrong in found if wrong is not None], len(found)
"""
)

# It is looked after each import, so these are the shorter orders, too.
ORDERS = list(itertools.permutations(PACKAGES))


def _explored(order: tuple[str, ...], preparation: str = "") -> list[Any]:
    code = EVERY_SUBSET.replace("PREPARATION", preparation).replace("ORDER", json.dumps(order))
    wrong, cases = fresh.value(code, ON)
    assert cases == 2 * 2 ** len(order) - 1
    return wrong  # type: ignore[no-any-return]


@pytest.mark.parametrize("order", ORDERS, ids=" then ".join)
def test_no_order_and_no_foreign_finder_leads_to_a_native_client(order: tuple[str, ...]) -> None:
    # What the SDK imports beside itself asks our finder, and one such import is enough for that.
    assert _explored(order, f"import_all_else({PACKAGES}, missing=['packaging'])") == []


def test_nor_in_an_interpreter_that_has_nothing_yet() -> None:
    assert _explored(ORDERS[-1]) == []


# A finder that nobody has to ask, since everything that the SDK needs has been imported before.
@pytest.mark.parametrize("order", ORDERS, ids=" then ".join)
def test_nor_where_all_that_the_sdk_imports_is_there_already(order: tuple[str, ...]) -> None:
    assert _explored(order, f"import_all_else({PACKAGES})") == []
