"""The HTTP half of envd: files, health, environment, metrics.

Statuses and messages follow e2b-dev/infra, packages/envd/internal/api. Any user name is
accepted, since a local sandbox has only one user: the one who started the server.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import mimetypes
import os
import shutil
import stat
import time
import zlib
from collections.abc import AsyncGenerator, Awaitable
from typing import BinaryIO, Callable

from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response

from kruise_autopatch.protocol.headers import ACCESS_TOKEN

from ..endpoints import Endpoints, NoEndpoint
from ..sandbox.paths import PathEscapes
from ..sandbox.sandboxes import Sandbox
from .errors import EnvdError

_CHUNK = 64 * 1024

# envd lets these in without a token: health is public and files may be signed instead.
_OPEN = {("GET", "/health"), ("GET", "/files"), ("POST", "/files"), ("POST", "/init")}


def check_access(sandbox: Sandbox, path: str, request: Request) -> None:
    """Refuse a request without the sandbox's access token, where envd asks for it."""
    if (request.method, path) in _OPEN:
        return
    if not _same(request.headers.get(ACCESS_TOKEN, ""), sandbox.access_token):
        raise EnvdError(
            401,
            "unauthorized access, please provide a valid access token "
            "or method signing if supported",
        )


async def serve(sandbox: Sandbox, path: str, request: Request) -> Response:
    """Answer a request to envd's HTTP API."""
    try:
        handler, _ = _ENDPOINTS.find(request.method, path)
    except NoEndpoint:
        return Response("404 page not found\n", status_code=404, media_type="text/plain")
    return await handler(sandbox, request)


async def _health(sandbox: Sandbox, request: Request) -> Response:
    return Response(status_code=204, headers={"Cache-Control": "no-store"})


async def _envs(sandbox: Sandbox, request: Request) -> Response:
    return JSONResponse(sandbox.environment)


async def _init(sandbox: Sandbox, request: Request) -> Response:
    # The server has initialised the runtime already; nothing is left to do.
    return Response(status_code=204)


async def _read(sandbox: Sandbox, request: Request) -> Response:
    path = request.query_params.get("path", "")
    _check_signature(sandbox, request, path, "read")
    host_path = _resolve(sandbox, path)
    shown = sandbox.paths.absolute(path)
    try:
        status = os.stat(host_path)
    except (FileNotFoundError, NotADirectoryError):
        raise EnvdError(404, f"path '{shown}' does not exist") from None
    if stat.S_ISDIR(status.st_mode):
        raise EnvdError(400, f"path '{shown}' is a directory")
    if not stat.S_ISREG(status.st_mode):
        raise EnvdError(400, f"path '{shown}' is not a regular file")
    return FileResponse(
        host_path,
        media_type=mimetypes.guess_type(shown)[0] or "application/octet-stream",
        stat_result=status,
    )


async def _write(sandbox: Sandbox, request: Request) -> Response:
    path = request.query_params.get("path")
    _check_signature(sandbox, request, path or "", "write")
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    try:
        if content_type == "application/octet-stream":
            if not path:
                raise EnvdError(400, "path is required for an octet-stream upload")
            written = [await _store_stream(sandbox, path, _body(request))]
        elif content_type == "multipart/form-data":
            written = await _store_form(sandbox, path, request)
        else:
            raise EnvdError(400, f"unsupported content type '{content_type}' for an upload")
    except ClientDisconnect:
        return Response(status_code=400)
    return JSONResponse(written)


async def _store_form(sandbox: Sandbox, path: str | None, request: Request) -> list[dict[str, str]]:
    written = []
    async with request.form(max_files=100_000) as form:
        files = [part for part in form.getlist("file") if isinstance(part, UploadFile)]
        if not files:
            raise EnvdError(400, "the form holds no part called 'file'")
        if path and len(files) > 1:
            raise EnvdError(400, "path is given, but there is more than one file")
        loop = asyncio.get_running_loop()
        for part in files:
            target = path or part.filename
            if not target:
                raise EnvdError(400, "neither the path nor the part's filename is given")
            host_path = _target(sandbox, target)
            await loop.run_in_executor(None, _copy, part.file, host_path)
            written.append(_written(sandbox, target))
    return written


async def _store_stream(
    sandbox: Sandbox, path: str, chunks: AsyncGenerator[bytes, None]
) -> dict[str, str]:
    host_path = _target(sandbox, path)
    with open(host_path, "wb") as file:
        async for chunk in chunks:
            file.write(chunk)
    return _written(sandbox, path)


async def _body(request: Request) -> AsyncGenerator[bytes, None]:
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding not in ("identity", "", "gzip"):
        raise EnvdError(400, f"unsupported Content-Encoding: {encoding}")
    inflate = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
    async for chunk in request.stream():
        try:
            yield inflate.decompress(chunk) if inflate else chunk
        except zlib.error as error:
            raise EnvdError(400, f"the body is not gzip: {error}") from error


def _copy(source: BinaryIO, host_path: str) -> None:
    with open(host_path, "wb") as file:
        shutil.copyfileobj(source, file, _CHUNK)


def _target(sandbox: Sandbox, path: str) -> str:
    """The host path to write to; its directories are made, as envd does."""
    host_path = _resolve(sandbox, path)
    if os.path.isdir(host_path):
        raise EnvdError(400, f"path is a directory: {sandbox.paths.absolute(path)}")
    try:
        os.makedirs(os.path.dirname(host_path), exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        shown = sandbox.paths.absolute(path)
        raise EnvdError(400, f"a parent of '{shown}' is a file") from None
    return host_path


def _written(sandbox: Sandbox, path: str) -> dict[str, str]:
    shown = sandbox.paths.absolute(path)
    return {"name": os.path.basename(shown), "type": "file", "path": shown}


def _resolve(sandbox: Sandbox, path: str) -> str:
    try:
        return sandbox.paths.followed(path)
    except PathEscapes as error:
        raise EnvdError(400, str(error)) from error


def _check_signature(sandbox: Sandbox, request: Request, path: str, operation: str) -> None:
    """A token in the header, or else a signature in the query.

    After envd's auth.go and the SDK's e2b/sandbox/signature.py.
    """
    token = request.headers.get(ACCESS_TOKEN)
    if token:
        if not _same(token, sandbox.access_token):
            raise EnvdError(401, "access token present in header but does not match")
        return
    query = request.query_params
    signature, expiration = query.get("signature"), query.get("signature_expiration")
    if signature is None:
        raise EnvdError(401, "missing signature query parameter")
    if expiration is not None and not expiration.isdecimal():
        raise EnvdError(400, f"invalid signature_expiration: {expiration}")
    signed = [path, operation, query.get("username", ""), sandbox.access_token]
    if expiration is not None:
        signed.append(expiration)
    digest = hashlib.sha256(":".join(signed).encode()).digest()
    expected = "v1_" + base64.b64encode(digest).rstrip(b"=").decode()
    if not _same(signature, expected):
        raise EnvdError(401, "invalid signature")
    if expiration is not None and int(expiration) < time.time():
        raise EnvdError(401, "signature is already expired")


def _same(presented: str, expected: str) -> bool:
    return hmac.compare_digest(presented.encode(), expected.encode())


async def _metrics(sandbox: Sandbox, request: Request) -> Response:
    disk = shutil.disk_usage(sandbox.paths.root)
    shown = {
        "ts": int(time.time()),
        "cpu_count": os.cpu_count() or 1,
        "cpu_used_pct": 0,
        "mem_total": 0,
        "mem_used": 0,
        "disk_used": disk.used,
        "disk_total": disk.total,
    }
    return JSONResponse(shown)


_ENDPOINTS: Endpoints[Callable[[Sandbox, Request], Awaitable[Response]]] = Endpoints(
    {
        "GET /health": _health,
        "GET /files": _read,
        "HEAD /files": _read,
        "POST /files": _write,
        "GET /envs": _envs,
        "GET /metrics": _metrics,
        "POST /init": _init,
    }
)
