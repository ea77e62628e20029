"""Nobody gets hold of an SDK that is native or half patched while it is being imported."""

from __future__ import annotations

import pytest

from support import forked, fresh
from support.programs import ON, PRIVATE

# Another thread takes what it wants as soon as it is there, while this one imports e2b.
RACE = """
import importlib, sys, threading, time
seen = []
def other():
    while {awaited!r} not in sys.modules:
        time.sleep(0)
    try:
        {taking}
        seen.append({url})
    except BaseException as error:
        seen.append(repr(error))
thread = threading.Thread(target=other)
thread.start()
import e2b, e2b_code_interpreter
thread.join(60)
result = seen, e2b.ConnectionConfig(api_key='k').api_url
"""

CONFIG = "e2b.connection_config"
SYNC = "e2b.sandbox_sync.main"
WAYS = {
    "import e2b": (CONFIG, "import e2b", "e2b.ConnectionConfig(api_key='k').api_url"),
    "import a submodule": (
        CONFIG,
        f"import {CONFIG}",
        f"e2b.{CONFIG[4:]}.ConnectionConfig(api_key='k').api_url",
    ),
    "from e2b": (
        CONFIG,
        "from e2b import ConnectionConfig",
        "ConnectionConfig(api_key='k').api_url",
    ),
    "from a submodule": (
        CONFIG,
        f"from {CONFIG} import ConnectionConfig",
        "ConnectionConfig(api_key='k').api_url",
    ),
    "from a submodule that is imported late": (
        SYNC,
        f"from {SYNC} import ConnectionConfig",
        "ConnectionConfig(api_key='k').api_url",
    ),
    "import_module": (
        CONFIG,
        f"module = importlib.import_module({CONFIG!r})",
        "module.ConnectionConfig(api_key='k').api_url",
    ),
    "code interpreter": (
        "e2b_code_interpreter",
        "from e2b_code_interpreter import Sandbox",
        "importlib.import_module('e2b.connection_config').ConnectionConfig(api_key='k').api_url",
    ),
    "sys.modules, later": (
        CONFIG,
        f"module = sys.modules[{CONFIG!r}]; importlib.import_module('e2b')",
        "module.ConnectionConfig(api_key='k').api_url",
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_thread_that_comes_during_the_import_builds_no_native_client(way: str) -> None:
    awaited, taking, url = WAYS[way]
    code = RACE.format(awaited=awaited, taking=taking, url=url)
    assert fresh.value(code, ON) == [[PRIVATE], PRIVATE]


@pytest.mark.parametrize(
    "statement",
    [
        "from e2b.connection_config import ConnectionConfig as C; C(api_key='k')",
        "import importlib as i; i.import_module('e2b.connection_config').ConnectionConfig()",
        "from e2b.sandbox_sync.main import Sandbox; Sandbox.create(api_key='e2b_00')",
        "import sys; sys.modules['e2b.connection_config'].ConnectionConfig()",
    ],
)
def test_after_an_import_that_failed_no_client_can_be_built_from_a_submodule(
    statement: str,
) -> None:
    code = f"""
for _ in range(2):
    try:
        import e2b
    except ValueError as error:
        assert "KRUISE_E2B_HTTPS" in str(error)
    else:
        raise AssertionError("the import should have failed")
result = []
try:
    {statement}
except (ValueError, KeyError) as error:
    result = [type(error).__name__]
"""
    assert forked.value(code, {**ON, "KRUISE_E2B_HTTPS": "nonsense"}) in (
        ["ConfigurationError"],
        ["KeyError"],
    )


def test_a_thread_that_looks_with_find_spec_leaves_the_import_of_another_patched() -> None:
    code = """
import importlib.util, sys, threading
looking, imported = threading.Event(), threading.Event()
class SlowFinder:
    def find_spec(self, name, path=None, target=None):
        if name == "e2b" and threading.current_thread() is thread:
            looking.set()
            imported.wait(5)
thread = threading.Thread(target=importlib.util.find_spec, args=("e2b",))
sys.meta_path.insert(1, SlowFinder())
thread.start()
looking.wait(60)
import e2b
imported.set()
thread.join()
result = e2b.ConnectionConfig(api_key="k").api_url
"""
    assert forked.value(code, ON) == PRIVATE
