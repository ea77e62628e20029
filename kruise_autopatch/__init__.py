"""Move every URL of E2B's Python SDK to OpenKruise Agents' private, single-host protocol.

This package is imported at interpreter start-up, so it imports nothing itself: the public names
below are loaded on first use (PEP 562).
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kruise_autopatch.activation import Status, patch_e2b, status, unpatch_e2b
    from kruise_autopatch.api_keys import decode_api_key, encode_api_key
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
    "decode_api_key",
    "encode_api_key",
    "patch_e2b",
    "status",
    "unpatch_e2b",
)


def __getattr__(name: str) -> object:
    if name in __all__:
        from importlib import import_module

        home = "activation"
        if name.endswith("Error"):
            home = "errors"
        elif name.endswith("_api_key"):
            home = "api_keys"
        return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
