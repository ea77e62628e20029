"""How the HTTP half of envd says no."""

from __future__ import annotations


class EnvdError(Exception):
    """A refusal, sent as `{"code", "message"}`; as plain text if `plain`.

    The RPCs raise `connect_protocol.ConnectError` instead; an `EnvdError` that reaches them (a
    wrong access token) is sent as it is, which the SDKs map by its status.
    """

    def __init__(self, status: int, message: str, *, plain: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.plain = plain
