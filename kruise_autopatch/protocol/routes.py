"""The routes of E2B's API that OpenKruise serves, and what newer SDKs ask for in their form.

Pure, as all of ``protocol``. The table is ``pkg/servers/e2b/routes.go`` of openkruise/agents.
"""

import re
from typing import Any, NamedTuple, Optional

from kruise_autopatch.protocol import DEFAULT_CONNECT_TIMEOUT


class _Write:
    """A v1 route that changes something: the fields of its body, and those that it wants."""

    __slots__ = ("defaults", "fields", "pattern")

    def __init__(self, route: str, *fields: str, **defaults: Any) -> None:
        method, path = route.split(" ")
        self.pattern = re.compile(f"{method} {path.replace('ID', '[^/]+')}")
        self.fields = fields
        self.defaults = defaults


# Fields are those of E2B's own v1 requests, of which a server ignores some.
_WRITES = (
    _Write(
        "POST /sandboxes",
        *("templateID", "timeout", "autoPause", "autoPauseMemory", "autoResume", "secure"),
        *("allow_internet_access", "network", "metadata", "envVars", "mcp", "iam"),
        "volumeMounts",
    ),
    _Write("DELETE /sandboxes/ID"),
    _Write("POST /sandboxes/ID/connect", "timeout", "memory", timeout=DEFAULT_CONNECT_TIMEOUT),
    # Of servers since September 2026.
    _Write("POST /sandboxes/ID/fork", "timeout", "count"),
    _Write("POST /sandboxes/ID/pause", "memory"),
    _Write("POST /sandboxes/ID/resume", "timeout", "autoPause"),
    _Write("POST /sandboxes/ID/snapshots", "name"),
    _Write("POST /sandboxes/ID/timeout", "timeout"),
    _Write("PUT /sandboxes/ID/network", "allowOut", "denyOut"),
)
# Of the later versions, the only one.
_SERVED = "GET /v2/sandboxes"

_VERSIONED = re.compile(r"/v([2-9]|[1-9][0-9]+)/")


class Served(NamedTuple):
    """What is sent in the place of a request of the SDK."""

    # The keyword arguments of ``httpx.Client.request``.
    request: dict[str, Any]
    # The route, where OpenKruise is not known to have it.
    unserved: Optional[str] = None


def served(request: dict[str, Any]) -> Served:
    """A request of the SDK in the form that every server knows, if there is one.

    sandbox-manager answers 405 to a write to ``/v2/sandboxes…``; the v1 route does the same.

    :param request: the keyword arguments of ``httpx.Client.request``
    """
    method, path = str(request.get("method", "get")).upper(), str(request["url"])
    if not _VERSIONED.match(path) or f"{method} {path}" == _SERVED:
        return Served(request)
    v1_path = path[len("/v2") :]
    write = next((w for w in _WRITES if w.pattern.fullmatch(f"{method} {v1_path}")), None)
    if write is None or not path.startswith("/v2/sandboxes"):
        return Served(request, f"{method} {_without_ids(path)}")
    moved = {**request, "url": v1_path}
    body = {**write.defaults, **(request.get("json") or {})}
    if body:
        moved["json"] = {name: value for name, value in body.items() if name in write.fields}
    return Served(moved)


def _without_ids(path: str) -> str:
    """``/v2/templates/ID/builds/ID``: what follows a collection is one of it."""
    _, version, *parts = path.partition("?")[0].split("/")
    return "/".join(["", version, *("ID" if i % 2 else part for i, part in enumerate(parts))])
