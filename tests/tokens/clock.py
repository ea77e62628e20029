"""A clock that a test moves, and tokens without a server."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timezone
from typing import Any

from kruise_autopatch.tokens.reply import Answer
from kruise_autopatch.tokens.state import Moment

SANDBOX = "default--box"


class Clock:
    """Called, it tells the time; both of its hands move together unless one is set."""

    def __init__(self, wall: float = 1_800_000_000.0, steady: float = 1_000.0) -> None:
        self.wall = wall
        self.steady = steady

    def __call__(self) -> Moment:
        return Moment(self.wall, self.steady)

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


def jwt(expires_at: float | None, **claims: Any) -> str:
    """A compact JWT that nobody has signed."""
    if expires_at is not None:
        claims["exp"] = expires_at
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in ({"alg": "none"}, claims)
    ]
    return ".".join([*parts, "signature"])


def rfc3339(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def reply(token: object, expiration: object) -> Answer:
    body = {"trafficAccessToken": token, "trafficAccessTokenExpiration": expiration}
    return Answer(200, json.dumps(body).encode())
