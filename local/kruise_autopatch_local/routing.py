"""Go's ServeMux, as far as the server's routes show it.

`web.RegisterRoute` registers every pattern twice, as it is and with a trailing slash. The
second one matches a whole subtree, so `GET /sandboxes/x/metrics` is answered by the route of
`GET /sandboxes/x`, and `POST /sandboxes/x/fork` by that of `POST /sandboxes`
(openkruise/agents, pkg/servers/web/framework.go).
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

Handler = TypeVar("Handler")


class NotRouted(Exception):
    """No pattern matches the path (404), or only for other methods (405)."""

    def __init__(self, allowed: list[str]) -> None:
        super().__init__("Method Not Allowed" if allowed else "404 page not found")
        self.allowed = allowed
        self.status = 405 if allowed else 404


class _Pattern(NamedTuple):
    method: str
    parts: tuple[str, ...]

    def match(self, parts: tuple[str, ...]) -> dict[str, str] | None:
        if len(parts) < len(self.parts):
            return None
        values = {}
        for expected, given in zip(self.parts, parts):
            if expected.startswith("{"):
                if not given:
                    return None
                values[expected[1:-1]] = given
            elif expected != given:
                return None
        return values


class Router(Generic[Handler]):
    """Finds the handler of the longest matching pattern."""

    def __init__(self) -> None:
        self._routes: list[tuple[_Pattern, Handler]] = []

    def add(self, method: str, path: str, handler: Handler) -> None:
        self._routes.append((_Pattern(method, tuple(path.strip("/").split("/"))), handler))
        # Patterns with more parts are more specific.
        self._routes.sort(key=lambda route: -len(route[0].parts))

    def find(self, method: str, path: str) -> tuple[Handler, dict[str, str]]:
        parts = tuple(path.lstrip("/").split("/"))
        # In Go, a pattern for GET serves HEAD too.
        method = "GET" if method == "HEAD" else method
        allowed = set()
        for pattern, handler in self._routes:
            values = pattern.match(parts)
            if values is None:
                continue
            if pattern.method == method:
                return handler, values
            allowed.add(pattern.method)
        raise NotRouted(sorted(allowed | ({"HEAD"} if "GET" in allowed else set())))
