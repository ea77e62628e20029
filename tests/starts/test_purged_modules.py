"""A tool that purges modules, and one that puts a finder first: no import of others may fail."""

from __future__ import annotations

import pytest

from support import fresh
from support.programs import ON, PRIVATE, URL

PURGE = """
for name in [n for n in sys.modules if n.partition(".")[0] in ("kruise_autopatch", "wrapt")]:
    del sys.modules[name]
"""
FINDER = """
class Other:
    def find_spec(self, name, path=None, target=None):
        return None
sys.meta_path.insert(0, Other())
"""
# As a tool that keeps a list of its own.
REPLACED = "sys.meta_path = [Other(), *sys.meta_path]\n"


@pytest.mark.parametrize(
    "steps",
    [PURGE, PURGE + FINDER, FINDER + PURGE, FINDER + REPLACED, PURGE + FINDER + REPLACED],
    ids=["purge", "purge then finder", "finder then purge", "replaced", "purge then replaced"],
)
def test_imports_go_on_and_the_sdk_is_private(steps: str) -> None:
    code = f"import sys\n{steps}\nimport colorsys\nresult = colorsys.__name__, {URL}"
    assert fresh.value(code, ON) == ["colorsys", PRIVATE]


def test_the_finder_stays_first_when_others_are_put_first() -> None:
    code = f"import sys\n{FINDER}\nresult = [getattr(f, '__name__', '') for f in sys.meta_path][0]"
    assert fresh.value(code, ON) == "kruise_autopatch"
