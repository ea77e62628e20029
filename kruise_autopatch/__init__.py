"""Move every URL of E2B's Python SDK to OpenKruise Agents' private, single-host protocol.

This package is imported at interpreter start-up, so it imports nothing itself: the names of
``kruise_autopatch.public`` are loaded on first use (PEP 562). pytest would warn, in every run, that
it cannot rewrite a package that start-up has imported; so to pytest we say PYTEST_DONT_REWRITE.

What is loaded with the SDK imports its neighbours as ``import kruise_autopatch.X as X``: the other
form would ask ``__getattr__`` for each of them.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kruise_autopatch.public import *


def __getattr__(name: str) -> object:
    import kruise_autopatch.public as public

    return public.find(name)
