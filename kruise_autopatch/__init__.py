"""Move every URL of E2B's Python SDK to OpenKruise Agents' private, single-host protocol.

This package is imported at interpreter start-up, so it imports nothing itself: the public names
below are loaded on first use (PEP 562).
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kruise_autopatch.activation import Status, patch_e2b, status, unpatch_e2b
    from kruise_autopatch.errors import (
        ConfigurationError,
        IncompatibleSDKError,
        KruiseAutopatchError,
    )

__all__ = (
    "ConfigurationError",
    "IncompatibleSDKError",
    "KruiseAutopatchError",
    "Status",
    "patch_e2b",
    "status",
    "unpatch_e2b",
)


def __getattr__(name: str) -> object:
    if name in __all__:
        from kruise_autopatch import activation, errors

        return getattr(errors if name.endswith("Error") else activation, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
