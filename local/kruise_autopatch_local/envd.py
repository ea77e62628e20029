"""Port 49983: envd, half of it Connect RPCs and half a plain HTTP API."""

from __future__ import annotations

import errno

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from . import connect_protocol, envd_files, envd_filesystem, envd_processes
from .errors import EnvdError
from .sandboxes import Sandbox

PORT = 49983


async def serve(sandbox: Sandbox, path: str, request: Request) -> Response:
    """Answer a request to the envd of a sandbox."""
    try:
        envd_files.check_access(sandbox, path, request)
        rpc = {**envd_filesystem.methods(sandbox), **envd_processes.methods(sandbox)}
        if path in rpc:
            return await connect_protocol.serve(rpc[path], request)
        return await envd_files.serve(sandbox, path, request)
    except OSError as error:
        # 507 is what the SDKs take for a full disk.
        status = 507 if error.errno == errno.ENOSPC else 500
        return JSONResponse({"code": status, "message": str(error)}, status_code=status)
    except EnvdError as error:
        return JSONResponse(
            {"code": error.status, "message": error.message}, status_code=error.status
        )
