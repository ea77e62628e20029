"""Signed claims: JWTs of a key of this process."""

from __future__ import annotations

from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

_ALGORITHM = "ES256"


class Signer:
    """Signs claims, and reads those that it has signed."""

    def __init__(self) -> None:
        self._key = ECKey.generate_key("P-256")

    def sign(self, claims: dict[str, Any]) -> str:
        return jwt.encode({"alg": _ALGORITHM}, claims, self._key)

    def read(self, token: str) -> dict[str, Any] | None:
        try:
            return jwt.decode(token, self._key, algorithms=[_ALGORITHM]).claims
        except (JoseError, ValueError):
            return None
