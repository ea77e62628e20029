"""How the API says no."""

from __future__ import annotations


class ApiError(Exception):
    """A refusal, sent as `{"code", "headers", "message", "request_id"}`.

    A code that the server leaves unset is 0 in the body, and 500 as the status
    (openkruise/agents, pkg/servers/web/framework.go).
    """

    def __init__(self, message: str, code: int = 0, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.headers = headers
