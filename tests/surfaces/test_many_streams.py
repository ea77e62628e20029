"""All sandboxes and the API share one address: many open streams must not block the rest."""

from __future__ import annotations

from kruise_autopatch_local import LocalManager
from support import fresh

# More than the 200 connections that e2b 2.56 and newer allow for each address.
STREAMS = 230

PROGRAM = f"""
import os
from concurrent.futures import ThreadPoolExecutor
from e2b import Sandbox
sandbox = Sandbox.create()
def start(number):
    return sandbox.commands.run("exec sleep 600", background=True, timeout=0)
with ThreadPoolExecutor(8) as pool:
    handles = list(pool.map(start, range({STREAMS})))
running = len(sandbox.commands.list())
print(running, sandbox.kill(), flush=True)
os._exit(0)
"""


def test_a_kill_is_answered_while_many_streams_are_open() -> None:
    with LocalManager() as manager:
        printed = fresh.output(PROGRAM, manager.environment())
    assert printed == f"{STREAMS} True"


def test_the_users_own_limit_is_kept() -> None:
    code = """
import importlib
limits = []
for client in ("sync", "async"):
    import e2b
    module = importlib.import_module(f"e2b.api.client_{client}")
    limits.append(getattr(module, "max_connections", 7))
result = limits
"""
    variables = {"KRUISE_E2B_PATCH": "1", "E2B_MAX_CONNECTIONS": "7"}
    assert fresh.value(code, variables) == [7, 7]
