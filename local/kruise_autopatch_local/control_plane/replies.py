"""The API's replies: how refusals, moments, domains and templates are written."""

from __future__ import annotations

import uuid
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any

from starlette.responses import JSONResponse, Response

from .errors import ApiError

# Go's zero time: of a sandbox that never ends.
_NEVER = "0001-01-01T00:00:00Z"
_BEGAN = "2026-01-01T00:00:00Z"


def refusal(error: ApiError) -> Response:
    return JSONResponse(
        {
            "code": error.code,
            "headers": None,
            "message": error.message,
            "request_id": str(uuid.uuid4()),
        },
        status_code=error.code or 500,
        headers=error.headers,
    )


@lru_cache(4096)
def rfc3339(moment: float | None) -> str:
    if moment is None:
        return _NEVER
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def domain_of(host: str, *, native: bool) -> str:
    """The domain that a request's Host makes: as it is, but for one trailing dot.

    After pkg/servers/e2b/adapters/domain.go; case and port are kept. On native routes what follows
    ``api.`` is the domain.
    """
    if native and host.lower().startswith("api."):
        host = host[len("api.") :]
    name, colon, port = host.rpartition(":")
    if not colon or port.endswith("]"):
        name, colon, port = host, "", ""
    return f"{name[:-1] if name.endswith('.') else name}{colon}{port}"


def template(name: str, with_builds: bool = False) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "templateID": name,
        "aliases": [name],
        "names": [name],
        "public": True,
        "createdAt": _BEGAN,
        "updatedAt": _BEGAN,
        "lastSpawnedAt": None,
        "spawnCount": 0,
    }
    if with_builds:
        build = {
            "buildID": name,
            "status": "ready",
            "createdAt": _BEGAN,
            "updatedAt": _BEGAN,
            "finishedAt": _BEGAN,
            "cpuCount": 0,
            "memoryMB": 0,
            "diskSizeMB": 0,
            "envdVersion": "0.1.1",
        }
        return {**shown, "builds": [build]}
    return {
        **shown,
        "buildID": name,
        "buildStatus": "ready",
        "buildCount": 1,
        "createdBy": None,
        "cpuCount": 0,
        "memoryMB": 0,
        "diskSizeMB": 0,
        "envdVersion": "0.1.1",
    }
