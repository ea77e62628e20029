"""gevent and eventlet: programs whose sockets and threads are replaced while they run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kruise_autopatch_local import LocalManager
from support import fresh
from support.programs import ON, PRIVATE, URL

pytest.importorskip("gevent", reason="only in the tox environment `starts`")

# eventlet says at each import that it is retired.
PATCHING = {
    "gevent": "from gevent import monkey; monkey.patch_all()",
    "eventlet": (
        "import warnings; warnings.simplefilter('ignore'); import eventlet; eventlet.monkey_patch()"
    ),
}
each_library = pytest.mark.parametrize("library", PATCHING)


@pytest.fixture(scope="module")
def manager() -> Iterator[LocalManager]:
    with LocalManager() as manager:
        yield manager


# A whole conversation over real sockets, and where it led.
CONVERSATION = """
import e2b, os
sandbox = e2b.Sandbox.create(timeout=60)
sandbox.files.write("greeting.txt", "hello")
print(sandbox.files.read("greeting.txt"), sandbox.commands.run("echo $((6 * 7))").stdout.strip())
print(sandbox.get_host(80) == f"{os.environ['E2B_DOMAIN']}/kruise/{sandbox.sandbox_id}/80")
print(sandbox.kill(), flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("order", ["before e2b", "after e2b"])
@each_library
def test_the_sdk_works_patched(library: str, order: str, manager: LocalManager) -> None:
    statements = [PATCHING[library], "import e2b"]
    if order == "after e2b":
        statements.reverse()
    variables = {**ON, "E2B_DOMAIN": manager.domain, "E2B_API_KEY": manager.api_key}
    code = "\n".join([*statements, CONVERSATION])
    assert fresh.output(code, variables).split() == ["hello", "42", "True", "True"]


SPAWNING = {
    "gevent": "import gevent; gevent.joinall([gevent.spawn(work) for _ in range(50)])",
    "eventlet": (
        "pool = eventlet.GreenPool(50)\n[pool.spawn(work) for _ in range(50)]\npool.waitall()"
    ),
}


@each_library
def test_greenlets_that_import_at_once_all_find_it_patched(library: str) -> None:
    code = f"""
{PATCHING[library]}
import time
seen = []
def work():
    time.sleep(0)
    from e2b.connection_config import ConnectionConfig
    seen.append(ConnectionConfig(api_key="k").api_url)
{SPAWNING[library]}
result = len(seen), sorted(set(seen))
"""
    assert fresh.value(code, ON) == [50, [PRIVATE]]


@each_library
def test_after_an_import_before_them_nothing_is_native(library: str) -> None:
    assert fresh.value(f"import e2b\n{PATCHING[library]}\nresult = {URL}", ON) == PRIVATE


def test_what_start_up_loads_does_not_upset_them() -> None:
    code = (
        "import sys\n"
        "print(sorted({'ssl', 'threading', 'socket', 'subprocess'} & set(sys.modules)))\n"
        "import gevent.monkey; gevent.monkey.patch_all()"
    )
    done = fresh.run(["-W", "error", "-c", code], ON)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
