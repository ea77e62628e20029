"""Whether any request of a private sandbox follows a redirect to another authority."""

from __future__ import annotations

from pathlib import Path

from support import fresh
from support.serving import Handler, Server
from tokens.clock import jwt

PROGRAM = Path(__file__).with_name("redirected.py")

# Below /kruise/<sandbox>/ or /kruise/: what must have been asked for, or nothing is proved.
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
    "api/sandboxes/{}/traffic-access-token",
    "api/sandboxes/{}",
}

# Of a sandbox, the status of whatever concerns it.
SANDBOXES = {"moved": 301, "found": 302, "see-other": 303, "temporary": 307, "permanent": 308}


class _Redirecting(Handler):
    protocol_version = "HTTP/1.1"
    server: _Redirector

    def _redirect(self) -> None:
        self._read_body()
        self.server.seen.append(self.path)
        names = self.path.split("/")
        self.send_response(SANDBOXES[names[4] if names[2] == "api" else names[2]])
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
    def __init__(self, elsewhere: str) -> None:
        super().__init__(_Redirecting)
        self.elsewhere = elsewhere
        self.seen: list[str] = []


class _Elsewhere(Server):
    """Remembers every connection that is made to it, even one without a request."""

    def __init__(self) -> None:
        super().__init__(Handler)
        self.connections = 0

    def verify_request(self, request: object, client_address: object) -> bool:
        self.connections += 1
        return False


def problems(python: str, mode: str) -> list[str]:
    """The requests that did, and those that were not made and so prove nothing."""
    with _Elsewhere() as elsewhere, _Redirector(f"http://{elsewhere.domain}") as server:
        variables = {
            "KRUISE_E2B_PATCH": "1",
            "KRUISE_E2B_HTTPS": "0",
            "E2B_DOMAIN": server.domain,
            "E2B_API_KEY": "e2b_00",
        }
        done = fresh.run([str(PROGRAM), mode, jwt(4e9), *SANDBOXES], variables, python)
        asked = {path.partition("?")[0] for path in server.seen}
    if done.returncode != 0:
        return [f"{mode}: exit status {done.returncode}: {done.stderr.strip()[-1000:]}"]
    expected = PATHS
    # In a pair of e2b and e2b-code-interpreter that do not work together.
    if done.stdout == "done, without Jupyter\n":
        expected = {path for path in PATHS if not path.startswith("49999/")}
    found = []
    for sandbox in SANDBOXES:
        below = {path.replace(f"/kruise/{sandbox}/", "") for path in asked}
        below |= {path.replace("/kruise/", "").replace(sandbox, "{}") for path in asked}
        found += [f"{mode}: {path} was not asked for" for path in sorted(expected - below)]
    if elsewhere.connections:
        found.append(f"{mode}: {elsewhere.connections} connections to elsewhere")
    return found
