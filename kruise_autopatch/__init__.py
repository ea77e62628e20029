"""Move every URL of E2B's Python SDK to OpenKruise Agents' private, single-host protocol.

This module is imported at interpreter start-up, so it imports nothing itself: the public names
below are loaded on first use.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kruise_autopatch.activation import Status as Status
    from kruise_autopatch.activation import patch_e2b as patch_e2b
    from kruise_autopatch.activation import status as status
    from kruise_autopatch.activation import unpatch_e2b as unpatch_e2b
    from kruise_autopatch.errors import ConfigurationError as ConfigurationError
    from kruise_autopatch.errors import IncompatibleSDKError as IncompatibleSDKError
    from kruise_autopatch.errors import KruiseAutopatchError as KruiseAutopatchError

_HOMES = {
    "patch_e2b": "activation",
    "unpatch_e2b": "activation",
    "status": "activation",
    "Status": "activation",
    "ConfigurationError": "errors",
    "IncompatibleSDKError": "errors",
    "KruiseAutopatchError": "errors",
}

__all__ = [
    "ConfigurationError",
    "IncompatibleSDKError",
    "KruiseAutopatchError",
    "Status",
    "patch_e2b",
    "status",
    "unpatch_e2b",
]


def __getattr__(name: str) -> object:
    """Load a public name on first use (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> "list[str]":
    return sorted({*globals(), *__all__})
