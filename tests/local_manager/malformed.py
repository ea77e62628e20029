"""Requests that no SDK would send, the same ones for the same seed."""

from __future__ import annotations

import http.client
import json
import random
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from support import fresh

METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW")
CONTROL = (
    "/sandboxes", "/v2/sandboxes", "/sandboxes/{id}", "/sandboxes/{id}/network",
    "/sandboxes/{id}/connect", "/sandboxes/{id}/timeout", "/sandboxes/{id}/resume",
    "/sandboxes/{id}/snapshots", "/sandboxes/{id}/fork", "/sandboxes/{id}/refreshes",
    "/sandboxes/{id}/traffic-access-token", "/templates/base", "/templates", "/snapshots",
    "/api-keys", "/api-keys/x", "/teams", "/debug", "/browser/{id}/json/version",
)  # fmt: skip
ENVD = (
    "/health", "/files", "/envs", "/metrics", "/init", "/filesystem.Filesystem/Stat",
    "/filesystem.Filesystem/ListDir", "/filesystem.Filesystem/MakeDir",
    "/filesystem.Filesystem/Move", "/filesystem.Filesystem/CreateWatcher",
    "/filesystem.Filesystem/WatchDir", "/process.Process/Start", "/process.Process/Connect",
    "/process.Process/SendInput", "/process.Process/StreamInput", "/process.Process/SendSignal",
    "/process.Process/Update", "/process.Process/List",
)  # fmt: skip
CODE = ("/health", "/execute", "/contexts", "/contexts/x", "/contexts/x/restart", "/docs")
SEGMENTS = (
    "%00", "%ff%fe", "..", "%2e%2e", "//", "'", "%", "%zz", "9" * 5000, "-1", "+49983", "\u00e9",
    "{id}", "?", "&", "=", ";", "a" * 3000, "49983", "49999", "0", "65536", "api", "\\",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 1e308, 10**400, "", "x", "\0", "\ud800", "/\0", [], {}, [[]],
    {"a": {"b": []}}, "9" * 400, "user", "~", "/etc/passwd/x", ["a"], {"a": 1},
)  # fmt: skip
FIELDS = (
    "templateID", "timeout", "metadata", "envVars", "network", "autoPause", "volumeMounts", "code",
    "language", "context_id", "env_vars", "cwd", "path", "depth", "source", "destination",
    "process", "pty", "tag", "stdin", "signal", "input", "watcherId", "recursive", "name",
    "allowOut", "denyOut", "duration", "count",
)  # fmt: skip
HEADERS = {
    "Content-Type": (
        "application/json", "application/proto", "application/connect+json", "text/plain",
        "application/connect+proto", "multipart/form-data", "multipart/form-data; boundary=",
        "multipart/form-data; boundary=B", "multipart/form-data; boundary=B; charset=nope", "", ";",
    ),
    "Content-Encoding": ("gzip", "br", "identity", ""),
    "Connect-Content-Encoding": ("gzip", "br"),
    "Connect-Timeout-Ms": ("9" * 400, "-1", "x", "\u00b2", "100"),
    "Connect-Protocol-Version": ("1", "9", ""),
    "Keepalive-Ping-Interval": ("nan", "inf", "-1", "x", "9" * 400),
    "Authorization": ("Basic", "Basic !!!", "Basic dXNlcjo=", "Basic //8=", "Bearer x"),
    "X-Access-Token": ("", "x", "\u00e9"),
    "X-API-Key": ("", "\u00e9", "x" * 3000),
    "Range": ("bytes=-", "bytes=9-1", "bytes=0-" + "9" * 400, "items=1", "bytes=0-0,2-3"),
    "If-Modified-Since": ("x", "Fri, 99 Jan 9999 99:99:99 GMT", "\u00e9"),
    "E2b-Sandbox-Id": ("{id}", "x", ""),
    "E2b-Sandbox-Port": ("49983", "9" * 5000, "-1", "\u00b2"),
    "Origin": ("http://127.0.0.1", "null", "http://[", "x"),
    "Host": ("127.0.0.1", "[::1", "x", "", "api.localhost", "49983-{id}.localhost"),
}  # fmt: skip


class Malformed(NamedTuple):
    """One request."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes | None


def requests(seed: int, number: int, sandbox_id: str, token: str, key: str) -> Iterator[Malformed]:
    chance = random.Random(seed)
    for _ in range(number):
        room, paths = chance.choice(
            (
                ("/kruise/api", CONTROL),
                (f"/kruise/{sandbox_id}/49983", ENVD),
                (f"/kruise/{sandbox_id}/49999", CODE),
            )
        )
        target = room + chance.choice(paths)
        if chance.random() < 0.2:
            target = "/kruise/" + "/".join(chance.choices(SEGMENTS, k=chance.randint(1, 4)))
        if chance.random() < 0.3:
            names = ("path", "username", "signature", "limit", "metadata", "nextToken", "state")
            target += f"?{chance.choice(names)}={chance.choice(SEGMENTS)}"
        headers = {"X-API-Key": key, "X-Access-Token": token, "Authorization": "Basic dXNlcjo="}
        for name in chance.sample(list(HEADERS), k=chance.randint(0, 3)):
            headers[name] = chance.choice(HEADERS[name]).replace("{id}", sandbox_id)
        method = chance.choice((*("POST",) * 16, *METHODS))
        if method == "DELETE" and target.startswith("/kruise/api"):
            # Every path below a sandbox's deletes it, and there is one for all.
            method = "PATCH"
        body = _body(chance) if method in ("POST", "PUT", "PATCH") else None
        if body is not None and "multipart" not in headers.get("Content-Type", ""):
            headers.setdefault("Content-Type", chance.choice(HEADERS["Content-Type"][:4]))
        yield Malformed(method, target.replace("{id}", sandbox_id), headers, body)


def _body(chance: random.Random) -> bytes | None:
    kind = chance.randrange(8)
    if kind == 0:
        return None
    if kind == 1:
        return bytes(chance.randrange(256) for _ in range(chance.randrange(80)))
    if kind == 2:
        return b"[" * chance.choice((10, 100_000))
    if kind == 3:
        lines = (b'--B\r\nContent-Disposition: form-data; name="file"', b"\r\n\r\nx\r\n--B--\r\n")
        return chance.choice(lines) + chance.choice(lines)
    fields = {chance.choice(FIELDS): chance.choice(VALUES) for _ in range(chance.randint(0, 4))}
    text = json.dumps(fields).encode()
    if kind == 4:
        return text[: len(text) // 2]
    if kind == 5:
        return struct.pack(">BI", chance.choice((0, 1, 2, 255)), len(text)) + text
    if kind == 6:
        return struct.pack(">BI", 0, chance.choice((0, 2**32 - 1))) + text
    return text


def send(domain: str, request: Malformed) -> int | None:
    """The status of the answer, or None if the connection was ended without one."""
    connection = http.client.HTTPConnection(domain, timeout=fresh.PATIENCE)
    try:
        # Not by http.client, which would check it.
        lines = [f"{request.method} {request.target} HTTP/1.1"]
        headers: dict[str, Any] = {"Host": domain, **request.headers, "Connection": "close"}
        if request.body is not None:
            headers["Content-Length"] = len(request.body)
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join(lines) + "\r\n\r\n"
        connection.connect()
        assert connection.sock is not None
        connection.sock.sendall(head.encode("utf-8", "surrogatepass") + (request.body or b""))
        response = http.client.HTTPResponse(connection.sock, method=request.method)
        response.begin()
        response.read(1000)
        return response.status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
