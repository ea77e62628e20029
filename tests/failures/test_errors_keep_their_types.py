"""Whatever a server refuses: the patched SDK raises the class and says the words of the native."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import forked
from support.serving import Handler, Server

PROGRAM = Path(__file__).with_name("every_error.py")

# Connect's own names, for its RPCs.
_CODES = {
    400: "invalid_argument",
    401: "unauthenticated",
    403: "permission_denied",
    404: "not_found",
    409: "aborted",
    413: "resource_exhausted",
    429: "resource_exhausted",
    500: "internal",
    502: "unavailable",
    503: "unavailable",
    504: "deadline_exceeded",
    507: "resource_exhausted",
}

Errors = dict[str, list[str]]

# All use the same few runs of the program.
pytestmark = pytest.mark.xdist_group("errors keep their types")


class _Refuser(Handler):
    """Refuses as the mark in the path, or else in the body, says."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet for each answer

    def _refuse(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        if self.path.endswith("/health"):  # the SDK asks it whether the sandbox still lives
            self.send_response(204)
            self.end_headers()
            return
        mark = re.search(rb"s(\d{3})(json|text)", self.path.encode() + body)
        assert mark is not None, self.path
        status, is_json = int(mark[1]), mark[2] == b"json"
        is_rpc = ".Filesystem/" in self.path or ".Process/" in self.path
        said = {"code": _CODES[status] if is_rpc else status, "message": f"refused: {status}"}
        answer = json.dumps(said).encode() if is_json else b"refused"
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if is_json else "text/plain")
        self.send_header("Content-Length", str(len(answer)))
        # Newer SDKs would try some statuses again, after a while.
        self.send_header("Should-Retry", "false")
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_DELETE = _refuse


@pytest.fixture(scope="module")
def refuser() -> Iterator[str]:
    with Server(_Refuser) as server:
        yield server.domain


@pytest.fixture(scope="module", params=["sync", "async"])
def errors(request: pytest.FixtureRequest, refuser: str) -> tuple[Errors, Errors]:
    """Every error of the patched SDK, and of the native one."""
    key = {"E2B_API_KEY": f"e2b_{'0' * 40}"}
    url = f"http://{refuser}"
    patched, native = (
        forked.run([str(PROGRAM), request.param], {**key, **variables})
        for variables in (
            {"KRUISE_E2B_PATCH": "1", "KRUISE_E2B_HTTPS": "0", "E2B_DOMAIN": refuser},
            {"E2B_API_URL": url, "E2B_SANDBOX_URL": url},
        )
    )
    assert patched.returncode == native.returncode == 0, patched.stderr + native.stderr
    return json.loads(patched.stdout), json.loads(native.stdout)


def test_every_error_is_the_native_one(errors: tuple[Errors, Errors]) -> None:
    patched, native = errors
    assert patched == native


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("create s401json", "AuthenticationException"),
        ("create s429json", "RateLimitException"),
        ("get_info s404json", "NotFoundException"),
        ("set_timeout s500json", "SandboxException"),
        ("files.read s404json", "NotFoundException"),
        ("commands.run s504json", "TimeoutException"),
        ("files.list s404json", "NotFoundException"),
        ("commands.run s401json", "AuthenticationException"),
    ],
)
def test_the_errors_are_those_that_programs_catch(
    errors: tuple[Errors, Errors], operation: str, kind: str
) -> None:
    patched, _ = errors
    assert patched[operation][0].endswith(kind), patched[operation]
