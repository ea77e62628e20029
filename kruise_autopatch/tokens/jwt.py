"""What a client may read of a traffic token: a compact JWT, whose signature is not our business."""

from __future__ import annotations

import base64
import json
import math
from typing import Any, NamedTuple


class Claims(NamedTuple):
    """The claims that matter here."""

    # Seconds since the epoch.
    expires_at: float
    # The sandbox that the token is for; ``None`` if it does not say.
    sandbox_id: str | None

    def is_for(self, sandbox_id: str) -> bool:
        """Whether the token may be for this sandbox."""
        return self.sandbox_id in (None, sandbox_id)


def read(token: str) -> Claims | None:
    """The claims of a compact JWT with an expiry; ``None`` for anything else: it is opaque."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        payload = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    if not isinstance(payload, dict) or not _is_time(payload.get("exp")):
        return None
    sandbox = payload.get("sandbox")
    sandbox_id = sandbox.get("sandboxId") if isinstance(sandbox, dict) else None
    return Claims(float(payload["exp"]), sandbox_id if isinstance(sandbox_id, str) else None)


def _is_time(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False
