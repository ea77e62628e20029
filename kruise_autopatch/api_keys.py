"""API keys in the form that passes the SDKs' own check (e2b 2.25.0 to 2.45.1), and back.

The form is ``e2b_`` + "okag" in hex + version 01 + the key's length in bytes, 8 hex digits + the
key in hex + the first 8 bytes of a SHA-256. OpenKruise Agents takes both forms for the same key.
"""

from __future__ import annotations

import hashlib
import re

from kruise_autopatch.errors import ConfigurationError

_PREFIX = "e2b_" + b"okag".hex() + "01"
_CHECKSUM_DOMAIN = b"openkruise-agents/e2b-key-compat/v1"
_ENCODED = re.compile(rf"{_PREFIX}([0-9a-f]{{8}})((?:[0-9a-f]{{2}})*)([0-9a-f]{{16}})", re.ASCII)


def is_encoded(key: str) -> bool:
    """Whether ``key`` is of the encoded form; its length and checksum may be wrong."""
    return _ENCODED.fullmatch(key) is not None


def encode_api_key(key: str) -> str:
    """The encoded form of an API key of OpenKruise Agents."""
    if not key:
        raise ConfigurationError("An empty API key cannot be encoded")
    raw = key.encode()
    return f"{_PREFIX}{len(raw):08x}{raw.hex()}{_checksum(raw)}"


def decode_api_key(encoded: str) -> str:
    """The API key in an encoded form. The error for a bad one never repeats it.

    :raises ConfigurationError: it is not of that form, or its length or checksum is wrong
    """
    found = _ENCODED.fullmatch(encoded)
    if found is None:
        raise ConfigurationError(
            f"This is not an encoded API key: one begins with {_PREFIX} and goes on in lower-case"
            " hexadecimal digits"
        )
    length, raw = int(found[1], 16), bytes.fromhex(found[2])
    if length != len(raw) or not raw:
        raise ConfigurationError(
            f"The encoded API key says that its key has {length} bytes, but holds {len(raw)}",
            "copy it in full.",
        )
    if found[3] != _checksum(raw):
        raise ConfigurationError("The encoded API key has a wrong checksum", "copy it again.")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise ConfigurationError("The encoded API key does not hold text") from None


def _checksum(raw: bytes) -> str:
    return hashlib.sha256(_CHECKSUM_DOMAIN + raw).digest()[:8].hex()
