"""The two ways in which the real server says no: JSON from the API, text from the data plane."""

from __future__ import annotations


class ApiError(Exception):
    """A control-plane refusal.

    Sent as `{"code", "headers", "message", "request_id"}`; a code that the server leaves
    unset becomes 500 (openkruise/agents, pkg/servers/web/framework.go).
    """

    def __init__(
        self, message: str, code: int = 500, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.headers = headers


class DataPlaneError(Exception):
    """A refusal before any sandbox was reached; the server sends it as plain text."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class EnvdError(Exception):
    """A refusal by envd's HTTP API, sent as `{"code", "message"}`.

    The Connect RPCs raise `connect_protocol.ConnectError` instead; an `EnvdError` that
    reaches them (a wrong access token) is sent as it is, which the SDKs map by its status.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
