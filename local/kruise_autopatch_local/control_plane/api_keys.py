"""API keys, raw or encoded: the server accepts both forms everywhere.

After openkruise/agents, pkg/servers/e2b/keys/compat.go.
"""

from __future__ import annotations

import hmac

from kruise_autopatch.api_keys import encode_api_key as encode

HEADER = "x-api-key"
DEFAULT_KEY = "some-api-key"


def accepts(expected: str, presented: str | None) -> bool:
    """Whether `presented` is the expected key, in either form."""
    if not presented:
        return False
    shown = presented.encode()
    # Both comparisons always run, each in constant time.
    raw = hmac.compare_digest(shown, expected.encode())
    encoded = hmac.compare_digest(shown, encode(expected).encode())
    return raw or encoded


__all__ = ["DEFAULT_KEY", "HEADER", "accepts", "encode"]
