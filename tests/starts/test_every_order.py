"""The SDK's three packages in every order, each with and without a finder of others before it.

Invariant: while the switch is on, no client is ever built by an unpatched constructor, and what is
loaded is patched. It is looked at after every import.
"""

from __future__ import annotations

import json
from math import perm

import pytest

from support import fresh
from support.children import IMPORT_ALL_ELSE, IN_CHILD
from support.programs import ON

PACKAGES = ("e2b", "e2b_code_interpreter", "e2b_desktop")
# What another tool's finder claims of a package that is about to be imported.
CLAIMS = ("nothing", "itself alone", "all of it")

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

# A tree of imports: each in a child of the interpreter that has made those before it, since what
# all of this costs is importing e2b.
EVERY_ORDER = (
    CLIENTS
    + IN_CHILD
    + IMPORT_ALL_ELSE
    + """
def grow(order, package, claim):
    "What is wrong after this import and the later ones, and how many imports there were."
    order = [*order, (package, claim)]
    if claim != "nothing":
        sys.meta_path.insert(0, Tool(package, whole=claim == "all of it"))
    importlib.import_module(package)
    # e2b comes with each of the others.
    names = [name for name, _ in order]
    wrong = list(look({"e2b", *names}))
    import kruise_autopatch
    points = {point.name.partition(":")[0].partition(".")[0]
              for point in kruise_autopatch.status().patches if point.state == "applied"}
    wrong += [f"{name} is not patched" for name in names if name not in points]
    later, imports = branches(order)
    return [[order, wrong]] * bool(wrong) + later, 1 + imports

def branches(order):
    left = [package for package in PACKAGES if package not in dict(order)]
    # What raises is the repr of an error.
    grown = [in_child(grow, order, package, claim) for package in left for claim in CLAIMS]
    return [w for wrong, _ in grown for w in wrong], sum(imports for _, imports in grown)

PREPARATION
result = branches([])
"""
)


# What the SDK imports beside itself asks our finder, and one such import is enough for that; or
# there is none, and our finder is one that nobody has to ask.
@pytest.mark.long
@pytest.mark.parametrize(
    "preparation",
    [
        "",
        f"import_all_else({PACKAGES}, missing=['packaging'])",
        f"import_all_else({PACKAGES})",
    ],
    ids=["nothing is imported yet", "all but one that the SDK needs", "all that the SDK needs"],
)
def test_no_order_and_no_foreign_finder_leads_to_a_native_client(preparation: str) -> None:
    names = f"PACKAGES, CLAIMS = {json.dumps([PACKAGES, CLAIMS])}\n"
    wrong, imports = fresh.value(names + EVERY_ORDER.replace("PREPARATION", preparation), ON)
    assert wrong == []
    assert imports == sum(
        perm(len(PACKAGES), many) * len(CLAIMS) ** many for many in range(1, len(PACKAGES) + 1)
    )
