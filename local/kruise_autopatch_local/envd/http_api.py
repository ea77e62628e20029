"""The HTTP half of envd: files, health, environment, metrics.

Statuses and messages are those of envd 0.2.10, which OpenKruise ships
(e2b-dev/infra, packages/envd/internal/api, of the tag 2025.33).
"""

from __future__ import annotations

import asyncio
import base64
import errno
import hashlib
import hmac
import json
import mimetypes
import os
import re
import shutil
import stat
import time
from collections.abc import AsyncGenerator, Awaitable
from datetime import datetime, timezone
from email.utils import format_datetime, parsedate_to_datetime
from typing import BinaryIO, Callable, NamedTuple

import psutil
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from kruise_autopatch.protocol.headers import ACCESS_TOKEN

from ..endpoints import Endpoints, NoEndpoint
from ..inside.house import House
from ..inside.users import UnknownUser, User
from .errors import EnvdError

_CHUNK = 64 * 1024
_SNIFFED = 512

# envd lets these in without a token: health is public and files may be signed instead.
_OPEN = {("GET", "/health"), ("GET", "/files"), ("POST", "/files")}
_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)
# WHATWG's "binary data bytes", by which Go tells text from data.
_BINARY = frozenset({*range(9), 0x0B, *range(0x0E, 0x1B), *range(0x1C, 0x20)})


def check_access(house: House, request: Request) -> None:
    """Refuse a request without the sandbox's access token, where envd asks for it."""
    if (request.method, request.url.path) in _OPEN:
        return
    if request.url.path == "/files" and request.method not in ("GET", "POST"):
        # chi knows the path but not the method, before anything else is asked for.
        return
    if not _same(request.headers.get(ACCESS_TOKEN, ""), house.plan.token):
        raise EnvdError(
            401,
            "unauthorized access, please provide a valid access token "
            "or method signing if supported",
        )


async def serve(house: House, path: str, request: Request) -> Response:
    """Answer a request to envd's HTTP API."""
    try:
        handler, _ = _ENDPOINTS.find(request.method, path)
    except NoEndpoint as missing:
        if missing.allowed:
            allowed = "GET" if request.method == "HEAD" else missing.allowed[-1]
            return Response(status_code=405, headers={"Allow": allowed})
        raise EnvdError(404, "404 page not found", plain=True) from None
    return await handler(house, request)


async def _health(house: House, request: Request) -> Response:
    return Response(status_code=204, headers={"Cache-Control": "no-store"})


async def _envs(house: House, request: Request) -> Response:
    shown = {**house.plan.environment, "E2B_SANDBOX": "false"}
    return _json(shown, {"Cache-Control": "no-store"})


async def _init(house: House, request: Request) -> Response:
    # The manager has initialised the runtime already; nothing is left to do.
    return Response(status_code=204)


async def _metrics(house: House, request: Request) -> Response:
    disk, memory = shutil.disk_usage(house.plan.home), psutil.virtual_memory()
    shown = {
        "ts": int(time.time()),
        "cpu_count": os.cpu_count() or 1,
        "cpu_used_pct": psutil.cpu_percent(),
        "mem_total": memory.total,
        "mem_used": memory.used,
        "mem_total_mib": memory.total >> 20,
        "mem_used_mib": memory.used >> 20,
        "disk_used": disk.used,
        "disk_total": disk.total,
    }
    return _json(shown, {"Cache-Control": "no-store"})


# --- reading -------------------------------------------------------------------------------


async def _read(house: House, request: Request) -> Response:
    _, path = _checked(house, request, "read")
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise EnvdError(404, f"path '{path}' does not exist") from None
    except (OSError, ValueError) as error:
        reason = _reason(error)
        raise EnvdError(
            500, f"error checking if path exists '{path}': stat {path}: {reason}"
        ) from None
    if stat.S_ISDIR(status.st_mode):
        raise EnvdError(400, f"path '{path}' is a directory")
    if stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode):
        raise EnvdError(400, f"path '{path}' is not a regular file")
    file = open(path, "rb")  # noqa: SIM115
    try:
        return _reply(file, path, status, request)
    except BaseException:
        file.close()
        raise


def _reply(file: BinaryIO, path: str, status: os.stat_result, request: Request) -> Response:
    regular = stat.S_ISREG(status.st_mode)
    size = status.st_size if regular else 0
    modified = datetime.fromtimestamp(int(status.st_mtime), timezone.utc)
    headers = {"Last-Modified": format_datetime(modified, usegmt=True)}
    if _unchanged_since(request.headers.get("if-modified-since"), modified):
        file.close()
        return Response(status_code=304, headers=headers)
    headers |= {
        "Accept-Ranges": "bytes",
        "Content-Type": _content_type(path, file.read(_SNIFFED) if regular else b""),
    }
    code, part = 200, _Part(0, size)
    asked = request.headers.get("range")
    if asked is not None and size:
        found = _part(asked, size)
        if found is None:
            file.close()
            return Response(
                "invalid range: failed to overlap\n",
                416,
                {
                    "Content-Range": f"bytes */{size}",
                    "Content-Type": "text/plain; charset=utf-8",
                    "X-Content-Type-Options": "nosniff",
                },
            )
        if found != part:
            code, part = 206, found
            last = part.start + part.length - 1
            headers["Content-Range"] = f"bytes {part.start}-{last}/{size}"
    headers["Content-Length"] = str(part.length)
    return StreamingResponse(_chunks(file, part), code, headers)


class _Part(NamedTuple):
    start: int
    length: int


def _part(header: str, size: int) -> _Part | None:
    """What a Range header asks for, if it is one range that the file has."""
    found = _RANGE.fullmatch(header.strip())
    if found is None or len(header) > 50:
        return _Part(0, size) if "," in header else None
    first, last = found.groups()
    if first:
        start = int(first)
        end = min(int(last), size - 1) if last else size - 1
    elif last:
        start, end = max(0, size - int(last)), size - 1
    else:
        return None
    return _Part(start, end - start + 1) if start <= end else None


async def _chunks(file: BinaryIO, part: _Part) -> AsyncGenerator[bytes, None]:
    loop = asyncio.get_running_loop()
    with file:
        if part.length:
            file.seek(part.start)
        left = part.length
        while left:
            data = await loop.run_in_executor(None, file.read, min(_CHUNK, left))
            if not data:
                return
            left -= len(data)
            yield data


def _unchanged_since(header: str | None, modified: datetime) -> bool:
    if header is None:
        return False
    try:
        since = parsedate_to_datetime(header)
    except (TypeError, ValueError, IndexError, OverflowError):
        return False
    return since.tzinfo is not None and modified <= since


def _content_type(path: str, head: bytes) -> str:
    """By the name or else by the first bytes, as Go's net/http finds it."""
    kind = mimetypes.guess_type(path)[0]
    if kind is None:
        kind = "application/octet-stream" if _BINARY.intersection(head) else "text/plain"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


# --- writing -------------------------------------------------------------------------------


async def _write(house: House, request: Request) -> Response:
    user, path = _checked(house, request, "write")
    given = request.query_params.get("path")
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type != "multipart/form-data":
        raise EnvdError(
            500,
            "error parsing multipart form: request Content-Type isn't multipart/form-data",
        )
    written: list[dict[str, str]] = []
    loop = asyncio.get_running_loop()
    try:
        async with request.form(max_files=100_000) as form:
            for part in form.getlist("file"):
                if given:
                    if written:
                        raise EnvdError(
                            400,
                            f"you cannot upload multiple files to the same path '{path}' in one "
                            "upload request, only the first specified file was uploaded",
                        )
                    target = path
                else:
                    if not isinstance(part, UploadFile) or not part.filename:
                        raise EnvdError(
                            400,
                            "error getting multipart custom part file name: "
                            "filename not found in Content-Disposition header",
                        )
                    target = house.resolve(part.filename, user)
                await loop.run_in_executor(None, _store, part, target, user)
                written.append({"name": os.path.basename(target), "path": target, "type": "file"})
    except ClientDisconnect:
        return Response(status_code=400)
    except MultiPartException as error:
        raise EnvdError(500, f"error parsing multipart form: {error.message}") from None
    except (LookupError, UnicodeError) as error:
        # A form without a boundary, or with a charset that is none.
        raise EnvdError(500, f"error parsing multipart form: {error}") from None
    return Response(
        json.dumps(written, separators=(",", ":"), ensure_ascii=False),
        headers={"Content-Type": "text/plain; charset=utf-8"},
    )


def _store(part: UploadFile | str, path: str, user: User) -> None:
    if os.path.isdir(path):
        raise EnvdError(400, f"path is a directory: {path}")
    try:
        make_directories(os.path.dirname(path), user)
    except (FileExistsError, NotADirectoryError) as error:
        raise EnvdError(500, f"error ensuring directories: path is a file: {error.filename}") from (
            None
        )
    except ValueError as error:
        raise EnvdError(500, f"error ensuring directories: {_reason(error)}") from None
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        raise EnvdError(500, f"error opening file: open {path}: {_reason(error)}") from None
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        # As envd does: the file is root's until here, and empty.
        _give(descriptor, user)
        if isinstance(part, str):
            file.write(part.encode())
        else:
            shutil.copyfileobj(part.file, file, _CHUNK)


def make_directories(path: str, user: User) -> None:
    """Make a directory and its parents, all new ones the user's.

    Raises `NotADirectoryError`, with the name of what is in the way.
    """
    if os.path.isdir(path):
        return
    if os.path.lexists(path):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    parent = os.path.dirname(path)
    if parent != path:
        make_directories(parent, user)
    os.mkdir(path)
    _give(path, user)


def _give(what: int | str, user: User) -> None:
    try:
        os.chown(what, user.uid, user.gid)
    except PermissionError:
        # Only where a file system has other ideas of owners.
        return


# --- both ----------------------------------------------------------------------------------


def _checked(house: House, request: Request, operation: str) -> tuple[User, str]:
    """The user and the path of a request that may pass."""
    query = request.query_params
    expiration = query.get("signature_expiration")
    if expiration is not None and not _is_int64(expiration):
        raise EnvdError(
            400,
            "Invalid format for parameter signature_expiration: error binding string parameter: "
            f'strconv.ParseInt: parsing "{expiration}": invalid syntax',
            plain=True,
        )
    name = query.get("username")
    if not name:
        raise EnvdError(400, "Query argument username is required, but not found", plain=True)
    _check_signature(house.plan.token, request, operation)
    try:
        user = house.users.find(name)
    except UnknownUser:
        raise EnvdError(401, f"error looking up user '{name}': user: unknown user {name}") from None
    return user, house.resolve(query.get("path", ""), user)


def _check_signature(expected_token: str, request: Request, operation: str) -> None:
    """A token in the header, or else a signature in the query.

    After envd's auth.go and the SDK's e2b/sandbox/signature.py.
    """
    token = request.headers.get(ACCESS_TOKEN)
    if token:
        if not _same(token, expected_token):
            raise EnvdError(401, "access token present in header but does not match")
        return
    query = request.query_params
    signature, expiration = query.get("signature"), query.get("signature_expiration")
    if signature is None:
        raise EnvdError(401, "missing signature query parameter")
    signed = [query.get("path", ""), operation, query.get("username", ""), expected_token]
    if expiration is not None:
        signed.append(expiration)
    text = ":".join(signed).encode("utf-8", "surrogatepass")
    expected = "v1_" + base64.b64encode(hashlib.sha256(text).digest()).rstrip(b"=").decode()
    if not _same(signature, expected):
        raise EnvdError(401, "invalid signature")
    if expiration is not None and int(expiration) < time.time():
        raise EnvdError(401, "signature is already expired")


def _is_int64(text: str) -> bool:
    return re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII) is not None


def _same(presented: str, expected: str) -> bool:
    return hmac.compare_digest(presented.encode("utf-8", "surrogatepass"), expected.encode())


def _reason(error: Exception) -> str:
    """An error's reason in Go's words; a path with a NUL byte is invalid there, too."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return "invalid argument"


def _json(value: object, headers: dict[str, str]) -> Response:
    return Response(json.dumps(value), headers={"Content-Type": "application/json", **headers})


_ENDPOINTS: Endpoints[Callable[[House, Request], Awaitable[Response]]] = Endpoints(
    {
        "GET /health": _health,
        "GET /files": _read,
        "POST /files": _write,
        "GET /envs": _envs,
        "GET /metrics": _metrics,
        "POST /init": _init,
    }
)
