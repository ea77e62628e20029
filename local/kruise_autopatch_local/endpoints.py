"""Which handler a method and a path mean: one table for each of the three HTTP APIs.

The tables are written once, as constants; what differs is how strict they are. Go's ServeMux
takes every pattern of the API for a whole subtree too, since `web.RegisterRoute` registers each
one a second time with a slash at its end. So `GET /sandboxes/x/metrics` is answered by the
handler of `GET /sandboxes/x`, and `POST /sandboxes/x/fork` by that of `POST /sandboxes`
(openkruise/agents, pkg/servers/web/framework.go).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, NamedTuple, TypeVar

Handler = TypeVar("Handler")


class NoEndpoint(Exception):
    """No pattern matches the path (404), or only for other methods (405)."""

    def __init__(self, allowed: list[str]) -> None:
        super().__init__("Method Not Allowed" if allowed else "404 page not found")
        self.allowed = allowed
        self.status = 405 if allowed else 404


class _Pattern(NamedTuple):
    method: str
    parts: tuple[str, ...]

    def match(self, parts: tuple[str, ...], subtree: bool) -> dict[str, str] | None:
        if len(parts) < len(self.parts) or (len(parts) > len(self.parts) and not subtree):
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


class Endpoints(Generic[Handler]):
    """A table of handlers by `METHOD /path/{value}`; the longest matching pattern wins."""

    def __init__(self, table: Mapping[str, Handler], *, subtrees: bool = False) -> None:
        self._subtrees = subtrees
        self._table = []
        for key, handler in table.items():
            method, path = key.split(" ")
            self._table.append((_Pattern(method, tuple(path[1:].split("/"))), handler))
        # Patterns with more parts are more specific.
        self._table.sort(key=lambda entry: -len(entry[0].parts))

    def patterns(self) -> list[tuple[str, str]]:
        """The method and the path of each."""
        return [(pattern.method, "/" + "/".join(pattern.parts)) for pattern, _ in self._table]

    def find(self, method: str, path: str) -> tuple[Handler, dict[str, str]]:
        """The handler, and the values of the pattern's names. Raises `NoEndpoint`."""
        parts = tuple(path.lstrip("/").split("/"))
        allowed = set()
        for pattern, handler in self._table:
            values = pattern.match(parts, self._subtrees)
            if values is None:
                continue
            if pattern.method == method:
                return handler, values
            allowed.add(pattern.method)
        raise NoEndpoint(sorted(allowed))
