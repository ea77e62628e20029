"""Connections: e2b 2.56.0 and newer open at most 200 to each address."""

from __future__ import annotations

import os
from collections.abc import Sequence

from kruise_autopatch.patches.engine import Addition

# What the releases before had for all addresses together. On the private protocol every sandbox
# and the API share one address, so the 201st open stream would block even a kill().
_CONNECTIONS = 2000


def points() -> Sequence[Addition]:
    # The SDK's own variable, which it has read by now.
    if os.environ.get("E2B_MAX_CONNECTIONS"):
        return ()
    return tuple(
        Addition(module, "max_connections", _CONNECTIONS, replaces=True)
        for module in ("e2b.api.client_sync", "e2b.api.client_async")
    )
