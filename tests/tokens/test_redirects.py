"""No request of a private sandbox follows a redirect to another authority, in any SDK release."""

from __future__ import annotations

from pathlib import Path

import fresh
import pytest
from clock import jwt
from serving import Handler, Server

PROGRAM = Path(__file__).with_name("redirected.py")

# Below /kruise/<sandbox>/ or /kruise/api/: what must have been asked for, or nothing is proved.
PATHS = {
    "49983/health",
    "49983/files",
    "49983/filesystem.Filesystem/ListDir",
    "49983/process.Process/List",
    "49983/process.Process/Start",
    "49983/process.Process/SendSignal",
    "49999/execute",
    "49999/contexts",
    "49999/contexts/c",
    "49999/contexts/c/restart",
    "sandboxes/box/traffic-access-token",
    "sandboxes/box",
}


class _Redirecting(Handler):
    protocol_version = "HTTP/1.1"
    server: _Redirector

    def _redirect(self) -> None:
        self._read_body()
        self.server.seen.append(self.path)
        self.send_response(self.server.status)
        self.send_header("Location", f"{self.server.elsewhere}{self.path}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _read_body(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            size = -1
            while size:
                size = int(self.rfile.readline(), 16)
                self.rfile.read(size + len(b"\r\n"))
        else:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))

    do_GET = do_POST = do_PUT = do_DELETE = _redirect


class _Redirector(Server):
    def __init__(self, status: int, elsewhere: str) -> None:
        super().__init__(_Redirecting)
        self.status, self.elsewhere = status, elsewhere
        self.seen: list[str] = []


class _Elsewhere(Server):
    """Remembers every connection that is made to it, even one without a request."""

    def __init__(self) -> None:
        super().__init__(Handler)
        self.connections = 0

    def verify_request(self, request: object, client_address: object) -> bool:
        self.connections += 1
        return False


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_request_follows_a_redirect(mode: str, status: int) -> None:
    with _Elsewhere() as elsewhere, _Redirector(status, f"http://{elsewhere.domain}") as server:
        variables = {
            "KRUISE_E2B_PATCH": "1",
            "KRUISE_E2B_HTTPS": "0",
            "E2B_DOMAIN": server.domain,
            "E2B_API_KEY": "e2b_00",
        }
        done = fresh.run([str(PROGRAM), mode, "box", jwt(4e9)], variables)
        assert done.stdout == "done\n", done.stderr
        asked = {path.partition("?")[0].split("/", 3)[3] for path in server.seen}
    assert asked >= PATHS
    assert elsewhere.connections == 0
