"""The page for people who want to watch, and the data that it asks for."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Awaitable
from importlib.resources import files
from typing import Any, Callable
from urllib.parse import urlencode

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from kruise_autopatch.protocol import API_PATH, PREFIX
from kruise_autopatch.protocol.headers import ACCESS_TOKEN

from ..data_plane import destinations
from ..data_plane.errors import DataPlaneError
from ..data_plane.upstream import Address, Answer, UpstreamError, ask
from ..endpoints import Endpoints
from ..request_log import Logged, RequestLog
from ..sandbox.sandboxes import Sandbox, Sandboxes
from .paths import OWN, is_native_api
from .visitors import Visitors

_NATIVE = "e2b.app"
_MOST_OF_A_FILE = 64 * 1024
_ROOT = "Basic " + base64.b64encode(b"root:").decode()

# Nothing is loaded from anywhere, and nothing runs that is not ours; no other page may hold this
# one in a frame, or have a hand on its window.
_POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_USED = """\
This link has been used, or it is not one of this server's: each opens the page once.
For a new one: curl -X POST -H "X-API-Key: $E2B_API_KEY" {url}/local/links
"""
_UNKNOWN = """\
To watch this local sandbox-manager, open the link that it printed when it started.
For a new one: curl -X POST -H "X-API-Key: $E2B_API_KEY" {url}/local/links
"""
_NOT_A_PAGE = "this is a page for people: open it in a window of its own\n"


class Page:
    """Answers the requests of browsers."""

    def __init__(
        self,
        url: str,
        variables: dict[str, str],
        visitors: Visitors,
        sandboxes: Sandboxes,
        log: RequestLog,
    ) -> None:
        self._url = url
        self._variables = variables
        self._visitors = visitors
        self._sandboxes = sandboxes
        self._log = log

    async def serve(self, handler: Handler, request: Request, values: dict[str, str]) -> Response:
        response = await handler(self, request, values)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    # --- the page ---

    async def _enter(self, request: Request, values: dict[str, str]) -> Response:
        token = request.query_params.get("token")
        if token is None:
            return RedirectResponse(OWN, 303)
        if not _is_a_window(request):
            return PlainTextResponse(_NOT_A_PAGE, 403)
        if not self._visitors.admits(token):
            return PlainTextResponse(_USED.format(url=self._url), 403)
        response = RedirectResponse(OWN, 303)
        self._visitors.welcome(response)
        return response

    async def _show(self, request: Request, values: dict[str, str]) -> Response:
        if not self._visitors.knows(request):
            return PlainTextResponse(_UNKNOWN.format(url=self._url), 401)
        if not _is_a_window(request):
            return PlainTextResponse(_NOT_A_PAGE, 403)
        nonce = secrets.token_urlsafe(16)
        text = files(__package__).joinpath("page.html").read_text("utf-8")
        text = text.replace("{nonce}", nonce).replace("{key}", self._visitors.key)
        headers = {"Content-Security-Policy": _POLICY.format(nonce=nonce)}
        return Response(text, headers=headers, media_type="text/html")

    # --- its data ---

    async def _state(self, request: Request, values: dict[str, str]) -> Response:
        """All of now, and the requests after the one with the number `after`."""
        if not self._visitors.knows_the_page(request):
            return _unknown()
        text = request.query_params.get("after", "")
        after = int(text) if text.isascii() and text.isdecimal() and len(text) < 18 else 0
        return JSONResponse(
            {
                "variables": self._variables,
                "sandboxes": [_shown(sandbox) for sandbox in self._sandboxes.all()],
                "requests": [_shown_request(each) for each in self._log.recent(after)],
            }
        )

    async def _list(self, request: Request, values: dict[str, str]) -> Response:
        path = request.query_params.get("path", "")
        reply = await self._ask(
            request,
            values,
            "POST",
            "/filesystem.Filesystem/ListDir",
            {"Content-Type": "application/json"},
            json.dumps({"path": path, "depth": 1}).encode(),
        )
        if isinstance(reply, Response):
            return reply
        found = json.loads(reply.body)
        if reply.status != 200:
            return JSONResponse({"error": found.get("message", "")})
        return JSONResponse({"entries": found.get("entries", [])})

    async def _read(self, request: Request, values: dict[str, str]) -> Response:
        """The beginning of a file."""
        query = urlencode({"path": request.query_params.get("path", ""), "username": "root"})
        only = {"Range": f"bytes=0-{_MOST_OF_A_FILE - 1}"}
        reply = await self._ask(request, values, "GET", f"/files?{query}", only)
        if isinstance(reply, Response):
            return reply
        text = reply.body[:_MOST_OF_A_FILE].decode("utf-8", "replace")
        if reply.status not in (200, 206):
            return JSONResponse({"error": text.strip()})
        return JSONResponse({"text": text, "isWhole": reply.status == 200})

    async def _output(self, request: Request, values: dict[str, str]) -> Response:
        if not self._visitors.knows_the_page(request):
            return _unknown()
        sandbox = self._sandboxes.get(values["id"])
        return JSONResponse([each.shown() for each in sandbox.transcript] if sandbox else [])

    async def _ask(
        self,
        request: Request,
        values: dict[str, str],
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes = b"",
    ) -> Answer | Response:
        """What a sandbox's envd answers to its user root; or what is to be answered instead."""
        if not self._visitors.knows_the_page(request):
            return _unknown()
        sandbox = self._sandboxes.get(values["id"])
        if sandbox is None or sandbox.pod is None or sandbox.state != "running":
            return JSONResponse({"error": "the sandbox does not run"})
        headers = {ACCESS_TOKEN: sandbox.access_token, "Authorization": _ROOT, **headers}
        try:
            return await ask(Address(sandbox.pod.envd_socket), method, target, headers, body)
        except UpstreamError:
            return JSONResponse({"error": "the sandbox has ended"})


Handler = Callable[[Page, Request, "dict[str, str]"], Awaitable[Response]]

_P = Page
PAGES: Endpoints[Handler] = Endpoints(
    {
        "GET /": _P._enter,
        f"GET {OWN}": _P._show,
        f"GET {OWN}state": _P._state,
        f"GET {OWN}sandboxes/{{id}}/list": _P._list,
        f"GET {OWN}sandboxes/{{id}}/read": _P._read,
        f"GET {OWN}sandboxes/{{id}}/output": _P._output,
    }
)


def _unknown() -> Response:
    return PlainTextResponse("this is for the page alone\n", 401)


def _is_a_window(request: Request) -> bool:
    """Not what a page of a sandbox, which is of the same origin, would fetch or frame."""
    return request.headers.get("sec-fetch-dest", "document") == "document"


def _shown(sandbox: Sandbox) -> dict[str, Any]:
    return {
        "id": sandbox.id,
        "template": sandbox.template,
        "state": sandbox.state,
        "startedAt": sandbox.started_at,
        "endsAt": sandbox.ends_at,
        "metadata": sandbox.metadata,
    }


def _shown_request(logged: Logged) -> dict[str, Any]:
    line = logged.line()
    private, native = _forms(line)
    return {
        "number": logged.number,
        "at": logged.at,
        "method": line["method"],
        "status": logged.status,
        "private": private,
        "native": native,
    }


def _forms(line: dict[str, Any]) -> tuple[str, str]:
    """A request's path in the private protocol, and its URL in E2B's own."""
    path, headers = line["path"], Headers(line["headers"])
    if path.startswith(API_PATH):
        return path, f"https://api.{_NATIVE}{path[len(API_PATH) :]}"
    if is_native_api(headers) and not path.startswith(PREFIX):
        return f"{API_PATH}{path}", f"https://api.{_NATIVE}{path}"
    try:
        there = destinations.find(line["scheme"], path, headers)
    except DataPlaneError:
        return path, ""
    return (
        f"{PREFIX}/{there.sandbox_id}/{there.port}{there.target}",
        f"https://{there.port}-{there.sandbox_id}.{_NATIVE}{there.target}",
    )
