"""An import of the SDK that is interrupted, at many points: private afterwards, or refused."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from support import fresh
from support.children import IMPORT_ALL_ELSE, IN_CHILD
from support.programs import ON, PRIVATE

POINTS = 12

# Each interruption in a child: the import of e2b, with what follows it, is a few hundred thousand
# calls. Interrupted is where a module begins to be executed, and where a function of ours or of
# wrapt is called.
INTERRUPTED = (
    IN_CHILD
    + IMPORT_ALL_ELSE
    + """
class Calls:
    "Counts the calls that matter, and raises at one of them."
    def __init__(self, at=None, error=None):
        self.count, self.at, self.error = 0, at, error
    def __call__(self, frame, event, argument):
        code = frame.f_code
        file = code.co_filename
        if "kruise_autopatch" in file or "wrapt" in file or (
            code.co_name == "<module>" and "/e2b/" in file
        ):
            self.count += 1
            if self.count == self.at:
                raise self.error
    def watch(self):
        sys.settrace(self)
        try:
            import e2b
        finally:
            sys.settrace(None)

def counted():
    calls = Calls()
    calls.watch()
    return calls.count

def url(module):
    try:
        module = importlib.import_module(module)
        return module.ConnectionConfig(api_key="k").api_url
    except Exception as error:
        return type(error).__name__

def interrupted(at, error):
    try:
        Calls(at, error()).watch()
    except BaseException:
        # Or what somebody made of it.
        failed = True
    else:
        # Somebody has swallowed it: wrapt and the SDK do where something is optional.
        failed = False
    # A thread may have kept the module of the class; e2b itself comes last, it repairs.
    return [failed, url("e2b.connection_config"), url("e2b")]

import_all_else(["e2b"])
total = in_child(counted)
points = [1 + int(total * (n + FIRST) / POINTS) for n in range(POINTS)]
result = [in_child(interrupted, at, ERROR) for at in points]
"""
).replace("POINTS", str(POINTS))


# Each at other points.
@pytest.mark.long
@pytest.mark.parametrize(("error", "first"), [("KeyboardInterrupt", "0"), ("MemoryError", "0.5")])
def test_after_an_interrupted_import_no_client_is_native(error: str, first: str) -> None:
    code = INTERRUPTED.replace("FIRST", first).replace("ERROR", error)
    found: list[Any] = fresh.value(code, ON)
    assert len(found) == POINTS
    urls = Counter(url for _, *each in found for url in each)
    assert not [url for url in urls if "://" in url and url != PRIVATE], urls
    # It is no test if nothing was interrupted, and no remedy if the next import never works.
    assert sum(failed for failed, *_ in found) > POINTS // 2
    assert urls[PRIVATE] > POINTS // 2
