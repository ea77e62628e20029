"""The public names of the package, and the modules that they are loaded from."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kruise_autopatch.api_keys import decode_api_key, encode_api_key
    from kruise_autopatch.commands import Status, patch_e2b, status, unpatch_e2b
    from kruise_autopatch.errors import (
        ConfigurationError,
        IncompatibleSDKError,
        KruiseAutopatchError,
    )

__all__ = [
    "ConfigurationError",
    "IncompatibleSDKError",
    "KruiseAutopatchError",
    "Status",
    "decode_api_key",
    "encode_api_key",
    "patch_e2b",
    "status",
    "unpatch_e2b",
]

_HOMES = {
    "__version__": "_version",
    "ConfigurationError": "errors",
    "IncompatibleSDKError": "errors",
    "KruiseAutopatchError": "errors",
    "Status": "commands",
    "decode_api_key": "api_keys",
    "encode_api_key": "api_keys",
    "patch_e2b": "commands",
    "status": "commands",
    "unpatch_e2b": "commands",
}


def find(name: str) -> object:
    """The value of ``kruise_autopatch.NAME``. Raises :class:`AttributeError`."""
    if name == "__all__":
        return __all__
    if name in _HOMES:
        return getattr(import_module(f"kruise_autopatch.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'kruise_autopatch' has no attribute {name!r}")
