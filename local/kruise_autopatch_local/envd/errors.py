"""How the HTTP half of envd says no."""

from __future__ import annotations


class EnvdError(Exception):
    """A refusal, sent as `{"code", "message"}`.

    The RPCs raise `connect_protocol.ConnectError` instead; an `EnvdError` that reaches them (a
    wrong access token) is sent as it is, which the SDKs map by its status.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
