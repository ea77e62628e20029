"""Traffic tokens of protected sandboxes: real JWTs, signed here and checked as by the gateway.

A sandbox is protected if it was created with the metadata `PROTECTED: "true"`. Every request
to one of its ports then needs a token of its own in `TRAFFIC_TOKEN`
(openkruise/agents, sandbox-gateway's filter: 403 for a missing or a bad one, 503 while the
verifier is not available).
"""

from __future__ import annotations

import os
import time
import uuid
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from starlette.datastructures import Headers

from kruise_autopatch.protocol.headers import PROTECTED, TRAFFIC_TOKEN

from ..control_plane.errors import ApiError
from ..sandbox.sandboxes import Sandbox
from .errors import DataPlaneError

if TYPE_CHECKING:
    from .signatures import Signer

EXPIRED = f"expired {TRAFFIC_TOKEN}"


class Issued(NamedTuple):
    """A token, and when it expires."""

    token: str
    expires_at: float

    def shown(self) -> dict[str, str]:
        """The fields of a reply."""
        expires = datetime.fromtimestamp(self.expires_at, timezone.utc)
        return {
            "trafficAccessToken": self.token,
            "trafficAccessTokenExpiration": expires.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }


class TrafficTokens:
    """Issues tokens with a key of this process, and checks them.

    `outage`, for tests, is a file: while it holds a status and, perhaps, seconds for
    `Retry-After`, nothing is renewed and that is the answer. `leeway`, for tests with short
    validities on slow machines, lets a token pass for some seconds more.
    """

    def __init__(self, validity: float, leeway: float, outage: str | None) -> None:
        self._validity = validity
        self._leeway = leeway
        self._outage = outage

    @cached_property
    def _signer(self) -> Signer:
        # Few sandboxes are protected, and the cryptography would be the longest part of a start.
        from .signatures import Signer

        return Signer()

    def issue(self, sandbox: Sandbox) -> Issued:
        """A new token for a protected sandbox."""
        now = time.time()
        expires_at = now + self._validity
        claims = {
            "iat": now,
            "exp": expires_at,
            "jti": str(uuid.uuid4()),
            "sandbox": {"sandboxId": sandbox.id, "sandboxUid": sandbox.uid},
        }
        return Issued(self._signer.sign(claims), expires_at)

    def renew(self, sandbox: Sandbox) -> Issued:
        """As `issue`, for the route that tokens are renewed at."""
        self._check_outage()
        if not is_protected(sandbox):
            raise ApiError("Sandbox cannot refresh its traffic access token", 409)
        if sandbox.state != "running":
            raise ApiError(f"sandbox {sandbox.id} is not running", 409)
        return self.issue(sandbox)

    def check(self, sandbox: Sandbox, headers: Headers) -> None:
        """Refuse a request to a protected sandbox that brings no good token."""
        if not is_protected(sandbox):
            return
        presented = headers.get(TRAFFIC_TOKEN)
        if not presented:
            raise DataPlaneError(403, f"missing {TRAFFIC_TOKEN}")
        claims = self._signer.read(presented)
        if claims is None:
            raise DataPlaneError(403, f"invalid {TRAFFIC_TOKEN}")
        if claims.get("exp", 0.0) + self._leeway <= time.time():
            raise DataPlaneError(403, EXPIRED)
        if claims.get("sandbox") != {"sandboxId": sandbox.id, "sandboxUid": sandbox.uid}:
            raise DataPlaneError(403, f"{TRAFFIC_TOKEN} is for another sandbox")

    def issued_at(self, presented: str) -> float | None:
        """When a token was issued, if it is one of ours."""
        claims = self._signer.read(presented)
        return None if claims is None else claims["iat"]

    def _check_outage(self) -> None:
        if self._outage is None or not os.path.exists(self._outage):
            return
        with open(self._outage, encoding="ascii") as file:
            status, *retry_after = file.read().split()
        headers = {"Retry-After": retry_after[0]} if retry_after else None
        raise ApiError("traffic access tokens are not issued now", int(status), headers)


def is_protected(sandbox: Sandbox) -> bool:
    return sandbox.metadata.get(PROTECTED) == "true"
