"""What each program here tells about its steps: one line of JSON for each, on standard output."""

from __future__ import annotations

import contextlib
import json
import traceback
from collections.abc import Iterator

# Made for the occasion; see `frameworks.offline`.
PACKAGE = "kruise-greeting"
MODULE = "kruise_greeting"
GREETING = "hello from a package"

# With every byte that there is, and more than one piece of a stream.
BINARY = bytes(range(256)) * 1024


@contextlib.contextmanager
def step(name: str) -> Iterator[None]:
    """Report how something went; whatever it was, the next step follows."""
    told: dict[str, str | None] = {"step": name, "error": None}
    try:
        yield
    except Exception as error:
        traceback.print_exc()
        words = f"{type(error).__name__}: {error}".strip().splitlines()
        told["error"] = words[0][:300]
    print(f"STEP {json.dumps(told)}", flush=True)


def see(found: object, wanted: object) -> None:
    """Fail a step, with what was found, unless it is there."""
    if wanted not in str(found) if isinstance(wanted, str) else found != wanted:
        raise AssertionError(f"{wanted!r} is not in {str(found)[-200:]!r}")
