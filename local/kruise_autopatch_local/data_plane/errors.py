"""How the data plane says no."""

from __future__ import annotations


class DataPlaneError(Exception):
    """A refusal before any sandbox was reached; the server sends it as plain text."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
