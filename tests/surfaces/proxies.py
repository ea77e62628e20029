"""Whether the patched SDK goes by way of a proxy exactly when the native one does.

Which requests that are differs: e2b up to 2.34 looks at no variable, up to 2.37 for its RPCs alone.
All of them obey ``proxy=``. Over https, the private authority is trusted by SSL_CERT_FILE, for
httpx and for pyqwest.
"""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path

from support import fresh
from support.serving import ProxyHandler, ProxyServer

PROGRAM = Path(__file__).with_name("proxied.py")

# What names the proxy: the scheme of the server, and the variables, or the argument.
WAYS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "HTTP_PROXY": ("http", {"HTTP_PROXY": "{proxy}"}),
    "HTTPS_PROXY": ("https", {"HTTPS_PROXY": "{proxy}"}),
    "ALL_PROXY": ("http", {"ALL_PROXY": "{proxy}"}),
    "NO_PROXY": ("http", {"HTTP_PROXY": "{proxy}", "NO_PROXY": "127.0.0.1"}),
    "proxy=": ("http", {}),
    "proxy= over https": ("https", {}),
}


class _Handler(ProxyHandler):
    """A server that has nothing, and a proxy: for the one and the other, it notes who asks."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: _Server

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                self.rfile.read(size + 2)
            self.rfile.readline()
        by_proxy = self.path.startswith("http") or self.client_address[1] in self.server.tunnels
        path = re.sub("^http://[^/]+", "", self.path)
        self.server.seen.append(f"{self.command} {path}{' by proxy' if by_proxy else ''}")
        self.send_response(404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST = _answer

    def do_CONNECT(self) -> None:
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as onward:
            self.server.tunnels.add(onward.getsockname()[1])
            self.tunnel(onward)


class _Server(ProxyServer):
    def __init__(self, seen: list[str], tunnels: set[int]) -> None:
        super().__init__(_Handler)
        self.seen, self.tunnels = seen, tunnels


def seen(python: str, way: str, patched: bool, certificates: Mapping[str, str]) -> list[str]:
    """The requests of the program, and which of them came by way of the proxy."""
    scheme, variables = WAYS[way]
    requests: list[str] = []
    tunnels: set[int] = set()
    with (
        _Server(requests, tunnels) as server,
        _Server(requests, tunnels) as proxy,
    ):
        if scheme == "https":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificates["chain"], certificates["key"])
            server.socket = context.wrap_socket(server.socket, server_side=True)
        url = f"{scheme}://{server.domain}"
        steering = (
            {
                "KRUISE_E2B_PATCH": "1",
                "KRUISE_E2B_HTTPS": "1" if scheme == "https" else "0",
                "E2B_DOMAIN": server.domain,
            }
            if patched
            else {"E2B_API_URL": url, "E2B_SANDBOX_URL": url}
        )
        proxy_url = f"http://{proxy.domain}"
        done = subprocess.run(
            [python, str(PROGRAM), *([proxy_url] if way.startswith("proxy=") else [])],
            env=fresh.environment(
                {
                    **steering,
                    **{name: text.format(proxy=proxy_url) for name, text in variables.items()},
                    "E2B_API_KEY": "e2b_00",
                    "SSL_CERT_FILE": certificates["authority"],
                }
            ),
            capture_output=True,
            text=True,
            timeout=fresh.PATIENCE,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{way}: {done.stderr.strip()[-2000:]}")
    return requests


def private(request: str) -> str:
    """A native request, as the patched SDK should make it."""
    method, path = request.split(" ", 1)
    prefix = "/kruise/api" if path.startswith("/sandboxes") else "/kruise/s1/49983"
    return f"{method} {prefix}{path}"


def problems(python: str, way: str, certificates: Mapping[str, str]) -> list[str]:
    """How the patched SDK differs from the native one."""
    native = [private(request) for request in seen(python, way, False, certificates)]
    patched = seen(python, way, True, certificates)
    if not native:
        return [f"{way}: the native SDK sent nothing"]
    return [] if native == patched else [f"{way}: {patched} instead of {native}"]
