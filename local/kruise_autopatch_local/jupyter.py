"""Port 49999: the HTTP API of E2B's code-interpreter template, for Python only.

Routes and bodies are those that `e2b_code_interpreter` calls: `POST /execute` answers with
one JSON object a line; `/contexts` are created, listed, restarted and removed. As on the
template, no access token is asked for.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from .kernels import Context
from .sandbox_paths import PathEscapes
from .sandboxes import Sandbox
from .streaming import CancellingStream

PORT = 49999

_LANGUAGE = "python"


class _Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def serve(sandbox: Sandbox, path: str, request: Request) -> Response:
    """Answer a request to the code interpreter of a sandbox."""
    parts = [part for part in path.split("/") if part]
    try:
        route = (request.method, *parts[:1], *(["*"] if parts[1:] else []), *parts[2:])
        if route == ("GET", "health"):
            return JSONResponse("OK")
        if route == ("POST", "execute"):
            return await _execute(sandbox, await _body(request))
        if route == ("POST", "contexts"):
            return JSONResponse(_shown(sandbox, await _create(sandbox, await _body(request))))
        if route == ("GET", "contexts"):
            return JSONResponse([_shown(sandbox, each) for each in sandbox.kernels.all()])
        if route == ("POST", "contexts", "*", "restart"):
            await _context(sandbox, parts[1]).restart()
            return Response(status_code=204)
        if route == ("DELETE", "contexts", "*"):
            await sandbox.kernels.remove(_context(sandbox, parts[1]))
            return Response(status_code=204)
    except _Refused as error:
        return PlainTextResponse(str(error), status_code=error.status)
    return JSONResponse({"detail": "Not Found"}, status_code=404)


async def _execute(sandbox: Sandbox, body: dict[str, Any]) -> Response:
    context_id, language = body.get("context_id"), body.get("language")
    if context_id and language:
        raise _Refused(400, "Only one of context_id or language can be provided")
    _check_language(language)
    if context_id:
        context = _context(sandbox, context_id)
    else:
        context = await sandbox.kernels.default()
    env = {str(name): str(value) for name, value in (body.get("env_vars") or {}).items()}
    lines = context.execute(str(body.get("code", "")), env)
    return CancellingStream(_as_json(lines), headers={"Content-Type": "application/x-ndjson"})


async def _as_json(lines: AsyncGenerator[dict[str, Any], None]) -> AsyncGenerator[bytes, None]:
    try:
        async for line in lines:
            yield json.dumps(line).encode() + b"\n"
    finally:
        await lines.aclose()


async def _create(sandbox: Sandbox, body: dict[str, Any]) -> Context:
    _check_language(body.get("language"))
    try:
        cwd = sandbox.paths.followed(body.get("cwd") or "~")
    except PathEscapes as error:
        raise _Refused(400, str(error)) from error
    try:
        return await sandbox.kernels.create(cwd)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _Refused(400, f"cwd '{body.get('cwd')}' does not exist") from error


def _context(sandbox: Sandbox, context_id: str) -> Context:
    context = sandbox.kernels.get(context_id)
    if context is None:
        raise _Refused(404, f"Context {context_id} not found")
    return context


def _shown(sandbox: Sandbox, context: Context) -> dict[str, str]:
    cwd = sandbox.paths.in_sandbox(context.cwd)
    return {"id": context.id, "language": _LANGUAGE, "cwd": cwd}


def _check_language(language: str | None) -> None:
    if language and language.lower() not in (_LANGUAGE, "python3"):
        raise _Refused(
            400,
            f"Language '{language}' is not available: the local sandbox-manager runs Python only",
        )


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body() or b"{}")
    except ValueError as error:
        raise _Refused(422, f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise _Refused(422, "the body is not a JSON object")
    return body
