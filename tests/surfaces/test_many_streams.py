"""All sandboxes and the API share one host: many open streams must not block the rest."""

from __future__ import annotations

import sys
from importlib.metadata import version

import pytest

from kruise_autopatch_local import LocalManager
from support import fresh
from surfaces import crowds
from surfaces.limited import LimitedServer
from surfaces.tables import HTTP2_SINCE

# More than the 200 connections that e2b 2.56 and newer allow for each address.
STREAMS = 230

RELEASE = tuple(map(int, version("e2b").split(".")))

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


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_sandboxes_share_no_connection(
    mode: str, scheme: str, certificates: dict[str, str]
) -> None:
    crowd = crowds.held(sys.executable, mode, scheme, certificates)
    assert crowd.problems == []
    # Over plain HTTP nobody can choose HTTP/2.
    speaks_http2 = scheme == "https" and tuple(map(int, HTTP2_SINCE.split("."))) <= RELEASE
    assert crowd.spoken["API"] == crowd.spoken["commands"] == ["2" if speaks_http2 else "1.1"]
    assert (crowd.together > 1) == speaks_http2


# Streams of two sandboxes, begun one after the other.
FEW = """
import os
from e2b import Sandbox
boxes = [Sandbox.create(), Sandbox.create()]
handles = [
    box.commands.run("sleep 600", background=True, timeout=0) for box in boxes for _ in range(5)
]
print("open", flush=True)
os._exit(0)
"""


def test_native_clients_share_as_the_sdk_lets_them(certificates: dict[str, str]) -> None:
    most = []
    for switch in ("1", "0"):
        with LimitedServer("https", certificates) as server:
            url = f"https://127.0.0.1:{server.port}"
            native = {"E2B_API_URL": url, "E2B_SANDBOX_URL": url, "KRUISE_E2B_PATCH": switch}
            assert fresh.output(FEW, {**server.environment(), **native}) == "open"
            most.append(server.most_on_one)
    assert most[0] == most[1]


# Streams that are begun at once, and a kill when the first three are open.
MANY = """
import os, threading
from e2b import Sandbox
sandbox = Sandbox.create()
begun = threading.Semaphore(0)
def run():
    sandbox.commands.run("sleep 600", background=True, timeout=0, request_timeout=0)
    begun.release()
for _ in range(20):
    threading.Thread(target=run, daemon=True).start()
for _ in range(3):
    begun.acquire()
print(sandbox.kill(), flush=True)
os._exit(0)
"""


@pytest.mark.skipif(RELEASE < (2, 56), reason="the variable has another meaning")
def test_the_users_own_limit_is_kept(certificates: dict[str, str]) -> None:
    with LimitedServer("http", certificates) as server:
        variables = {**server.environment(), "E2B_MAX_CONNECTIONS": "3"}
        assert fresh.output(MANY, variables) == "True"
        assert server.most == 3
