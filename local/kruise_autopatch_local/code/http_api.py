"""The HTTP API of E2B's code-interpreter template, for Python only.

Endpoints and bodies are those that `e2b_code_interpreter` calls: `POST /execute` answers with
one JSON object a line; `/contexts` are created, listed, restarted and removed. As on the
template, no access token is asked for.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable
from typing import Any, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from ..endpoints import Endpoints, NoEndpoint
from ..sandbox.paths import PathEscapes
from ..sandbox.sandboxes import Sandbox
from ..streaming import CancellingStream
from .kernels import Context

_LANGUAGE = "python"


class _Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def serve(sandbox: Sandbox, path: str, request: Request) -> Response:
    """Answer a request to the code interpreter of a sandbox."""
    try:
        handler, values = _ENDPOINTS.find(request.method, path.rstrip("/"))
        return await handler(sandbox, request, **values)
    except _Refused as error:
        return PlainTextResponse(str(error), status_code=error.status)
    except NoEndpoint:
        return JSONResponse({"detail": "Not Found"}, status_code=404)


async def _health(sandbox: Sandbox, request: Request) -> Response:
    return JSONResponse("OK")


async def _list(sandbox: Sandbox, request: Request) -> Response:
    return JSONResponse([_shown(sandbox, each) for each in sandbox.kernels.all()])


async def _restart(sandbox: Sandbox, request: Request, context_id: str) -> Response:
    await _context(sandbox, context_id).restart()
    return Response(status_code=204)


async def _remove(sandbox: Sandbox, request: Request, context_id: str) -> Response:
    await sandbox.kernels.remove(_context(sandbox, context_id))
    return Response(status_code=204)


async def _execute(sandbox: Sandbox, request: Request) -> Response:
    body = await _body(request)
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


async def _create(sandbox: Sandbox, request: Request) -> Response:
    body = await _body(request)
    _check_language(body.get("language"))
    try:
        cwd = sandbox.paths.followed(body.get("cwd") or "~")
    except PathEscapes as error:
        raise _Refused(400, str(error)) from error
    try:
        context = await sandbox.kernels.create(cwd)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _Refused(400, f"cwd '{body.get('cwd')}' does not exist") from error
    return JSONResponse(_shown(sandbox, context))


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


_ENDPOINTS: Endpoints[Callable[..., Awaitable[Response]]] = Endpoints(
    {
        "GET /health": _health,
        "POST /execute": _execute,
        "POST /contexts": _create,
        "GET /contexts": _list,
        "POST /contexts/{context_id}/restart": _restart,
        "DELETE /contexts/{context_id}": _remove,
    }
)
