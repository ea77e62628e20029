"""One round: threads import the SDK in random order, and nobody may ever get a native client.

Run by ``stress.rounds`` in a fresh interpreter: python one_round.py SEED. Prints what went wrong;
nothing if nothing did.
"""

from __future__ import annotations

import faulthandler
import importlib
import importlib.util
import inspect
import os
import random
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

PRIVATE = "http://kruise.test/kruise/api"
ENVIRONMENT = {"KRUISE_E2B_PATCH": "1", "KRUISE_E2B_HTTPS": "0", "E2B_DOMAIN": "kruise.test"}

THREADS = 64
# In every fourth round a variable is bad, so that each import has to fail; it is dear.
FAILING_THREADS = 12
STEPS = 3
# Seconds. Far above what a round takes, so that only a deadlock meets it.
PATIENCE = 150

# Each makes `thing`: a module or a class of the SDK. The first ones take it from the package.
FROM_PACKAGES = (
    "import e2b as thing",
    "from e2b import Sandbox as thing",
    "from e2b import AsyncSandbox as thing",
    "from e2b import ConnectionConfig as thing",
    "thing = importlib.import_module('e2b')",
    "importlib.util.find_spec('e2b'); import e2b as thing",
)
# Threads that begin in the midst of a package, or where packages import each other, may meet:
# Python then refuses one of them, with or without us.
IMPORTS = (
    *FROM_PACKAGES,
    "import e2b.connection_config as thing",
    "from e2b.connection_config import ConnectionConfig as thing",
    "from e2b.sandbox.main import SandboxBase as thing",
    "from e2b.sandbox_sync.main import Sandbox as thing",
    "from e2b.sandbox_async.main import AsyncSandbox as thing",
    "import e2b.api; thing = e2b",
    "thing = importlib.import_module('e2b.sandbox_sync.main')",
    "thing = __import__('e2b.api.client')",
    "import e2b_code_interpreter; import e2b as thing",
    "from e2b_code_interpreter import Sandbox as thing",
    "from e2b_code_interpreter.code_interpreter_sync import Sandbox as thing",
    "from e2b_code_interpreter import AsyncSandbox as thing",
    "import e2b_desktop; import e2b as thing",
    "from e2b_desktop import Sandbox as thing",
)
REFUSALS = ("_DeadlockError", "ImportError", "KeyError", "AttributeError")
# Times that a thread tries again what Python has refused.
ATTEMPTS = 1000


def main(seed: int) -> None:
    """One round with this seed."""
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    chance = random.Random(seed)
    sys.setswitchinterval(chance.choice([1e-6, 1e-4, 5e-3]))
    fails = seed % 4 == 3
    wrong = run_threads(chance, fails)
    if fails:
        if wrong == [] and "e2b" in sys.modules:
            wrong.append("e2b is in sys.modules though every import has failed")
        os.environ.update(ENVIRONMENT)
    wrong += state_at_the_end()
    for line in dict.fromkeys(wrong):
        print(line, flush=True)


def run_threads(chance: random.Random, fails: bool) -> list[str]:
    """Import in all threads, and say what was not as it must be."""
    wrong: list[str] = []
    count = FAILING_THREADS if fails else THREADS
    statements, attempts = chance.choice([(FROM_PACKAGES, 1), (IMPORTS, ATTEMPTS)])
    orders = [chance.sample(statements, STEPS) for _ in range(count)]
    start = threading.Barrier(count)
    expected = "ConfigurationError" if fails else PRIVATE

    def work(order: Sequence[str]) -> None:
        start.wait()
        for statement in order:
            for _ in range(attempts):
                outcome = client_after(statement)
                if outcome not in REFUSALS:
                    break
                time.sleep(0.001)
            if outcome != expected:
                wrong.append(f"{statement}: {outcome}")

    threads = [threading.Thread(target=work, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


def client_after(statement: str) -> str:
    """Where a client leads that is built from what ``statement`` imports; or its error."""
    names: dict[str, Any] = {"importlib": importlib}
    try:
        exec(statement, names)
        config = configuration_of(names["thing"])(api_key="e2b_" + "0" * 40)
    except Exception as error:
        return type(error).__name__
    url: str = config.api_url
    host = config.get_host("sandbox1", "kruise.test", 3000)
    return url if host == "kruise.test/kruise/sandbox1/3000" else f"{url}, but {host}"


def configuration_of(thing: Any) -> Any:
    """The configuration that ``thing`` builds: what its module holds, without import's help."""
    if thing.__name__ == "ConnectionConfig":
        return thing
    if inspect.isclass(thing):
        function = next(value for value in vars(thing).values() if inspect.isfunction(value))
        held = function.__globals__.get("ConnectionConfig")
    else:
        held = getattr(thing, "ConnectionConfig", None)
    return held or sys.modules["e2b.connection_config"].ConnectionConfig


def state_at_the_end() -> list[str]:
    """What is not as it must be once everything is imported: each point wrapped exactly once."""
    import e2b_code_interpreter  # noqa: F401
    import e2b_desktop  # noqa: F401

    import kruise_autopatch

    wrong = []
    finders = [getattr(f, "__name__", type(f).__module__) for f in sys.meta_path]
    if [name.partition(".")[0] for name in finders].count("kruise_autopatch") != 1:
        wrong.append(f"not one finder of ours: {finders}")
    state = kruise_autopatch.status()
    if not state.patches:
        wrong.append("nothing is patched")
    for point in state.patches:
        if point.state not in ("applied", "absent"):
            wrong.append(f"{point.name}: {point.state}")
        elif point.state == "applied" and (depth := wrappers(point.name)) != 1:
            wrong.append(f"{point.name}: wrapped {depth} times")
    return wrong


def wrappers(point: str) -> int:
    """How many of wrapt's wrappers lie around the attribute ``MODULE:PATH``."""
    import wrapt

    module, _, path = point.partition(":")
    owner: Any = sys.modules[module]
    *parents, attribute = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    value = vars(owner)[attribute]
    if isinstance(value, property):
        value = value.fget
    depth = 0
    while isinstance(value, wrapt.FunctionWrapper):
        depth, value = depth + 1, value.__wrapped__
    ours = (getattr(value, "__module__", None) or "").startswith("kruise_autopatch")
    # What is put there, a function of ours or a number, wraps nothing.
    return depth or int(ours or not callable(value))


if __name__ == "__main__":
    main(int(sys.argv[1]))
