"""How the API says no."""

from __future__ import annotations


class ApiError(Exception):
    """A refusal, sent as `{"code", "headers", "message", "request_id"}`.

    A code that the server leaves unset becomes 500 (openkruise/agents,
    pkg/servers/web/framework.go).
    """

    def __init__(
        self, message: str, code: int = 500, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.headers = headers
