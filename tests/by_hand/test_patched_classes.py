"""Patched classes are still the SDK's own to whoever looks at them; off, nothing was touched."""

from __future__ import annotations

import fresh
import pytest

ON = {"KRUISE_E2B_PATCH": "1", "KRUISE_E2B_HTTPS": "0", "E2B_DOMAIN": "kruise.test"}
OFF = {"E2B_DOMAIN": "kruise.test"}

PATCHED = """
import inspect, pydoc, typing
import e2b, e2b.api
from e2b.sandbox.main import SandboxBase
from e2b_code_interpreter import AsyncSandbox, Sandbox
from e2b_desktop.main import _VNCServer
functions = [
    e2b.ConnectionConfig.__init__, e2b.ConnectionConfig.get_host,
    e2b.ConnectionConfig.get_sandbox_url, SandboxBase.__init__, SandboxBase._file_url,
    SandboxBase.get_mcp_url, e2b.api.ApiClient.__init__, _VNCServer.__init__, _VNCServer.get_url,
    Sandbox._jupyter_url.fget, AsyncSandbox._jupyter_url.fget,
]
classes = [e2b.ConnectionConfig, SandboxBase, Sandbox, AsyncSandbox, e2b.api.ApiClient]
"""

LOOKS = {
    "signatures": "[str(inspect.signature(f)) for f in functions]",
    "names": "[(f.__name__, f.__qualname__, f.__module__) for f in functions]",
    "docstrings": "[f.__doc__ for f in functions]",
    "sources": "[inspect.getsource(f) for f in functions]",
    "annotations": "[repr(f.__annotations__) for f in functions]",
    "kinds": "[(inspect.isfunction(f), inspect.isroutine(f), callable(f)) for f in functions]",
    "constructors": "[str(inspect.signature(c)) for c in classes]",
    "bases": "[[base.__qualname__ for base in c.__mro__] for c in classes]",
    "instances": "isinstance(e2b.ConnectionConfig(), e2b.ConnectionConfig)",
    "a missing argument": "message(lambda: e2b.ConnectionConfig().get_host('s1'))",
    "an unknown argument": "message(lambda: e2b.ConnectionConfig(domian='kruise.test'))",
}

MESSAGE = """
def message(call):
    try:
        call()
    except Exception as error:
        return [type(error).__name__, str(error)]
"""


@pytest.mark.parametrize("look", LOOKS.values(), ids=list(LOOKS))
def test_a_patched_class_looks_as_before(look: str) -> None:
    code = f"{PATCHED}{MESSAGE}\nresult = {look}"
    assert fresh.value(code, ON) == fresh.value(code, OFF)


def test_help_works_and_shows_the_sdks_own_text() -> None:
    code = f"{PATCHED}\nresult = pydoc.render_doc(e2b.ConnectionConfig, renderer=pydoc.plaintext)"
    shown = fresh.value(code, ON)
    assert "get_host(self, sandbox_id" in shown
    assert "FunctionWrapper" not in shown


def test_a_subclass_may_override_and_call_super() -> None:
    code = """
import e2b
class Mine(e2b.ConnectionConfig):
    def get_host(self, sandbox_id, sandbox_domain, port):
        return "mine:" + super().get_host(sandbox_id, sandbox_domain, port)
result = Mine().get_host("s1", "x", 80)
"""
    assert fresh.value(code, ON) == "mine:kruise.test/kruise/s1/80"


UNTOUCHED = """
import importlib, inspect, pkgutil, sys
found = []
for package in ("e2b", "e2b_code_interpreter", "e2b_desktop"):
    importlib.import_module(package)
for name, module in sorted(sys.modules.items()):
    if name.partition(".")[0].startswith("e2b") and module is not None:
        for attribute, value in vars(module).items():
            members = vars(value).items() if inspect.isclass(value) else [("", value)]
            for member, held in members:
                held = getattr(held, "fget", held)
                if type(held).__name__.endswith("FunctionWrapper"):
                    found.append(f"{name}.{attribute}.{member}")
"""


def test_off_replaces_no_attribute_and_loads_no_wrapt() -> None:
    code = f"{UNTOUCHED}\nresult = [found, 'kruise_autopatch' in sys.modules]"
    assert fresh.value(code, OFF) == [[], False]


def test_the_search_for_replaced_attributes_finds_them_when_on() -> None:
    found = fresh.value(f"{UNTOUCHED}\nresult = found", ON)
    assert any(name.endswith("ConnectionConfig.get_host") for name in found)
    assert any(name.endswith("Sandbox._jupyter_url") for name in found)
