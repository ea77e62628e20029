"""envd as a whole: which of its two halves a request is for, and what both refuse."""

from __future__ import annotations

import errno

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..sandbox.sandboxes import Sandbox
from . import connect_protocol, filesystem_rpcs, http_api, process_rpcs
from .errors import EnvdError

_RPCS = {**filesystem_rpcs.METHODS, **process_rpcs.METHODS}


async def serve(sandbox: Sandbox, path: str, request: Request) -> Response:
    """Answer a request to the envd of a sandbox."""
    try:
        http_api.check_access(sandbox, path, request)
        if path in _RPCS:
            return await connect_protocol.serve(_RPCS[path], sandbox, request)
        return await http_api.serve(sandbox, path, request)
    except OSError as error:
        # 507 is what the SDKs take for a full disk.
        status = 507 if error.errno == errno.ENOSPC else 500
        return JSONResponse({"code": status, "message": str(error)}, status_code=status)
    except EnvdError as error:
        return JSONResponse(
            {"code": error.status, "message": error.message}, status_code=error.status
        )
