"""The HTTP API of E2B's code-interpreter template: FastAPI's manners, without FastAPI.

Endpoints and bodies are those that `e2b_code_interpreter` calls: `POST /execute` answers with
one JSON object a line; `/contexts` are created, listed, restarted and removed. As on the
template, no access token is asked for.
"""

from __future__ import annotations

import json
import math
from collections.abc import AsyncGenerator, Awaitable
from typing import Any, Callable

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from ..endpoints import Endpoints, NoEndpoint
from ..streaming import CancellingStream
from .kernels import Context, Kernels, TooManyKernels
from .languages import NoSuchLanguage

_METHODS = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"


class _Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Invalid(Exception):
    """The body is not what it should be; the details are those of pydantic."""

    def __init__(self, kind: str, place: list[Any], message: str, given: Any, **more: Any) -> None:
        super().__init__(message)
        self.detail = {"type": kind, "loc": place, "msg": message, "input": given, **more}


class CodeInterpreter:
    """The ASGI application of one sandbox's code interpreter."""

    def __init__(self, kernels: Kernels) -> None:
        self._kernels = kernels

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        response = await self._answer(request)
        if "origin" in request.headers:
            response.headers["Access-Control-Allow-Origin"] = "*"
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = request.url.path
        if request.method == "OPTIONS" and "access-control-request-method" in request.headers:
            headers = {"Access-Control-Allow-Methods": _METHODS, "Access-Control-Max-Age": "600"}
            return PlainTextResponse("OK", headers=headers)
        try:
            handler, values = _ENDPOINTS.find(request.method, path)
            return await handler(self._kernels, request, **values)
        except _Refused as error:
            return PlainTextResponse(str(error), status_code=error.status)
        except TooManyKernels:
            return PlainTextResponse("Too many contexts: remove some first", status_code=503)
        except NoSuchLanguage as error:
            return PlainTextResponse(f"Failed to create context: {error}", status_code=500)
        except _Invalid as error:
            body = json.dumps({"detail": [error.detail]}, separators=(",", ":"))
            return Response(body, 422, {"Content-Type": "application/json"})
        except NoEndpoint as missing:
            return _missing(request, path, missing)


def _missing(request: Request, path: str, missing: NoEndpoint) -> Response:
    if missing.allowed:
        headers = {"Allow": ", ".join(missing.allowed)}
        return JSONResponse({"detail": "Method Not Allowed"}, 405, headers)
    if path != "/" and path.endswith("/"):
        try:
            _ENDPOINTS.find(request.method, path.rstrip("/"))
        except NoEndpoint:
            pass
        else:
            place = f"http://{request.headers.get('host', '')}{path.rstrip('/')}"
            return Response(status_code=307, headers={"Location": place})
    return JSONResponse({"detail": "Not Found"}, 404)


async def _health(kernels: Kernels, request: Request) -> Response:
    return JSONResponse("OK")


async def _execute(kernels: Kernels, request: Request) -> Response:
    body = await _body(request)
    code = _string(body, "code", required=True)
    context_id, language = _string(body, "context_id"), _string(body, "language")
    variables = _strings(body, "env_vars")
    if context_id and language:
        raise _Refused(400, "Only one of context_id or language can be provided")
    if context_id:
        context = _context(kernels, context_id)
    else:
        context = await kernels.default(language)
    lines = context.execute(code, variables)
    return CancellingStream(_as_json(lines), headers={})


async def _create(kernels: Kernels, request: Request) -> Response:
    body = await _body(request)
    language, cwd = _string(body, "language"), _string(body, "cwd")
    return JSONResponse(_shown(await kernels.create(language, cwd or kernels.home)))


async def _list(kernels: Kernels, request: Request) -> Response:
    return JSONResponse([_shown(each) for each in kernels.all()])


async def _restart(kernels: Kernels, request: Request, context_id: str) -> Response:
    await _context(kernels, context_id).restart()
    return JSONResponse(None)


async def _remove(kernels: Kernels, request: Request, context_id: str) -> Response:
    await kernels.remove(_context(kernels, context_id))
    return JSONResponse(None)


async def _openapi(kernels: Kernels, request: Request) -> Response:
    paths: dict[str, Any] = {}
    for method, path in _ENDPOINTS.patterns():
        if path.startswith(("/health", "/execute", "/contexts")):
            paths.setdefault(path, {})[method.lower()] = {"responses": {"200": {}}}
    info = {"title": "FastAPI", "version": "0.1.0"}
    return JSONResponse({"openapi": "3.1.0", "info": info, "paths": paths})


async def _docs(kernels: Kernels, request: Request) -> Response:
    return HTMLResponse('<!DOCTYPE html><title>FastAPI</title><a href="openapi.json">API</a>')


def _context(kernels: Kernels, context_id: str) -> Context:
    context = kernels.get(context_id)
    if context is None:
        raise _Refused(404, f"Context {context_id} not found")
    return context


def _shown(context: Context) -> dict[str, str]:
    return {"id": context.id, "language": context.language, "cwd": context.cwd}


# --- bodies --------------------------------------------------------------------------------


async def _as_json(lines: AsyncGenerator[dict[str, Any], None]) -> AsyncGenerator[bytes, None]:
    try:
        async for line in lines:
            yield json.dumps(_without_nan(line)).encode() + b"\n"
    finally:
        await lines.aclose()


def _without_nan(value: Any) -> Any:
    """JSON has no NaN and no infinity: null stands for them, as on the template."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _without_nan(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_nan(each) for each in value]
    return value


async def _body(request: Request) -> dict[str, Any]:
    raw = await request.body()
    if not raw:
        raise _Invalid("missing", ["body"], "Field required", None)
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    body: Any
    if kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json")):
        try:
            body = json.loads(raw)
        except json.JSONDecodeError as error:
            context = {"error": error.msg}
            place = ["body", error.pos]
            raise _Invalid("json_invalid", place, "JSON decode error", {}, ctx=context) from error
        except (ValueError, RecursionError) as error:
            context = {"error": str(error)}
            raise _Invalid(
                "json_invalid", ["body", 0], "JSON decode error", {}, ctx=context
            ) from error
    else:
        body = raw.decode("utf-8", "replace")
    if not isinstance(body, dict):
        message = "Input should be a valid dictionary or object to extract fields from"
        raise _Invalid("model_attributes_type", ["body"], message, _without_nan(body))
    return body


def _string(body: dict[str, Any], name: str, *, required: bool = False) -> str:
    if required and name not in body:
        raise _Invalid("missing", ["body", name], "Field required", _without_nan(body))
    value = body.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str):
        message = "Input should be a valid string"
        raise _Invalid("string_type", ["body", name], message, _without_nan(value))
    try:
        value.encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair: no program can take it.
        message = "Input should be a valid string, unable to parse raw data as a unicode string"
        raise _Invalid("string_unicode", ["body", name], message, None) from None
    return value


def _strings(body: dict[str, Any], name: str) -> dict[str, str]:
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        message = "Input should be a valid dictionary"
        raise _Invalid("dict_type", ["body", name], message, _without_nan(value))
    for key, each in value.items():
        if not isinstance(each, str):
            message = "Input should be a valid string"
            raise _Invalid("string_type", ["body", name, key], message, _without_nan(each))
    return value


_ENDPOINTS: Endpoints[Callable[..., Awaitable[Response]]] = Endpoints(
    {
        "GET /health": _health,
        "POST /execute": _execute,
        "POST /contexts": _create,
        "GET /contexts": _list,
        "POST /contexts/{context_id}/restart": _restart,
        "DELETE /contexts/{context_id}": _remove,
        "GET /openapi.json": _openapi,
        "GET /docs": _docs,
    }
)
