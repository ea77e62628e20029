"""Move every URL of E2B's Python SDK to OpenKruise Agents' private, single-host protocol.

This package is imported at interpreter start-up, so it imports nothing but ``sys``: the names of
``kruise_autopatch.public`` are loaded on first use (PEP 562).

What is loaded with the SDK imports its neighbours as ``import kruise_autopatch.X as X``: the other
form would ask ``__getattr__`` for each of them.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from kruise_autopatch._version import __version__ as __version__
    from kruise_autopatch.public import *

# How a switch is spelled that is off; compared without case and surrounding space.
OFF = ("0", "false", "no", "off", "")

# The top-level packages of the three SDK distributions.
PACKAGES = ("e2b", "e2b_code_interpreter", "e2b_desktop")
# The modules whose classes every client of the SDK begins with.
GATED = ("e2b.connection_config", "e2b.volume.connection_config")


# Type comments, unlike annotations, cost nothing at run time.
def start():
    # type: () -> None
    """What ``kruise_autopatch.pth`` calls at each start of Python; never renamed, never raises."""
    _room("start_up").install(_on_import)


def _on_import(package):
    # type: (ModuleType) -> None
    """What follows the import of a package of the SDK. Loads wrapt, so only then."""
    __getattr__("on_import")(package)


def __getattr__(name):
    # type: (str) -> Any
    return _room("public").find(name)


def _room(name):
    # type: (str) -> Any
    """By name: everything here stands on this module, and so it imports nothing of it."""
    full_name = f"kruise_autopatch.{name}"
    __import__(full_name)
    return sys.modules[full_name]


def __dir__():
    # type: () -> list[str]
    return [*globals(), *__getattr__("__all__")]
