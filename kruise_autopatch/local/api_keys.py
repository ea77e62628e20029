"""API keys, raw or in the form that passes the SDKs' own check.

The encoded form is `e2b_` + "okag" in hex + version 01 + the length as 8 hex digits + the
key in hex + the first 8 bytes of a SHA-256 (openkruise/agents, pkg/servers/e2b/keys/compat.go).
The server accepts both forms everywhere.
"""

from __future__ import annotations

import hashlib
import hmac

HEADER = "x-api-key"
DEFAULT_KEY = "some-api-key"

_MAGIC = "e2b_" + b"okag".hex() + "01"
_CHECKSUM_DOMAIN = b"openkruise-agents/e2b-key-compat/v1"


def encode(raw: str) -> str:
    """Return the encoded form of a raw key."""
    key = raw.encode()
    checksum = hashlib.sha256(_CHECKSUM_DOMAIN + key).digest()[:8].hex()
    return f"{_MAGIC}{len(key):08x}{key.hex()}{checksum}"


def accepts(expected: str, presented: str | None) -> bool:
    """Whether `presented` is the expected key, in either form."""
    if not presented:
        return False
    shown = presented.encode()
    # Both comparisons always run, each in constant time.
    raw = hmac.compare_digest(shown, expected.encode())
    encoded = hmac.compare_digest(shown, encode(expected).encode())
    return raw or encoded
