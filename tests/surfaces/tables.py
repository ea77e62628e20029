"""Every URL surface of the SDK: what it must hand out, what the server must see, what comes back.

The tests compare one conversation with these tables; the matrix does so for every SDK release.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

API = "{scheme}://{domain}/kruise/api"
ENVD = "{scheme}://{domain}/kruise/{id}/49983"
STREAM = "{scheme}://{domain}/kruise/{id}/6080/vnc.html"
WEBSOCKET = "path=../../../kruise/{id}/6080/websockify"

# What the SDK hands out. A "*" at the end stands for any rest, such as a signature.
URLS = {
    "api_url": API,
    "volume api_url": API,
    "sandbox_domain": "{domain}",
    "get_host": "{domain}/kruise/{id}/3000",
    "envd_api_url": ENVD,
    "envd_direct_url": ENVD,
    "get_sandbox_url": ENVD,
    "get_sandbox_direct_url": ENVD,
    "get_sandbox_url(port)": "{scheme}://{domain}/kruise/{id}/8080",
    "get_sandbox_direct_url(port)": "{scheme}://{domain}/kruise/{id}/8080",
    "download_url": ENVD + "/files?path=%2Ftmp%2Fa%20b.txt&username=user&signature=*",
    "expiring download_url": ENVD + "/files?path=%2Ftmp%2Fa%20b.txt&username=user&signature=*",
    "upload_url": ENVD + "/files?path=%2Ftmp%2Fuploaded.txt&username=user&signature=*",
    "get_mcp_url": "{scheme}://{domain}/kruise/{id}/50005/mcp",
    "jupyter_url": "{scheme}://{domain}/kruise/{id}/49999",
    "desktop stream": STREAM + "?autoconnect=true&resize=scale&" + WEBSOCKET,
    "desktop stream, plain": STREAM + "?" + WEBSOCKET,
}

# Surfaces that some SDK release or client lacks.
OPTIONAL = {
    "volume api_url",
    "envd_direct_url",
    "get_sandbox_direct_url",
    "get_sandbox_url(port)",
    "get_sandbox_direct_url(port)",
    "desktop stream",
    "desktop stream, plain",
}

# What the server must have seen.
REQUESTS = {
    "create": ("POST", "/kruise/api/sandboxes"),
    "connect": ("POST", "/kruise/api/sandboxes/{id}/connect"),
    "list": ("GET", "/kruise/api/v2/sandboxes"),
    "get_info": ("GET", "/kruise/api/sandboxes/{id}"),
    "set_timeout": ("POST", "/kruise/api/sandboxes/{id}/timeout"),
    "kill": ("DELETE", "/kruise/api/sandboxes/{id}"),
    "is_running": ("GET", "/kruise/{id}/49983/health"),
    "files.write": ("POST", "/kruise/{id}/49983/files"),
    "files.read": ("GET", "/kruise/{id}/49983/files"),
    "files.list": ("POST", "/kruise/{id}/49983/filesystem.Filesystem/ListDir"),
    "files.exists": ("POST", "/kruise/{id}/49983/filesystem.Filesystem/Stat"),
    "files.make_dir": ("POST", "/kruise/{id}/49983/filesystem.Filesystem/MakeDir"),
    "files.rename": ("POST", "/kruise/{id}/49983/filesystem.Filesystem/Move"),
    "files.remove": ("POST", "/kruise/{id}/49983/filesystem.Filesystem/Remove"),
    "commands.run": ("POST", "/kruise/{id}/49983/process.Process/Start"),
    "commands.list": ("POST", "/kruise/{id}/49983/process.Process/List"),
    "commands.connect": ("POST", "/kruise/{id}/49983/process.Process/Connect"),
    "commands.send_stdin": ("POST", "/kruise/{id}/49983/process.Process/SendInput"),
    "commands.kill": ("POST", "/kruise/{id}/49983/process.Process/SendSignal"),
    "run_code": ("POST", "/kruise/{id}/49999/execute"),
    "create_code_context": ("POST", "/kruise/{id}/49999/contexts"),
}

# The watcher's route differs between the sync and the async client.
WATCH = {
    "sync": ("POST", "/kruise/{id}/49983/filesystem.Filesystem/CreateWatcher"),
    "async": ("POST", "/kruise/{id}/49983/filesystem.Filesystem/WatchDir"),
}

RESULTS = {
    "files.read": "hello",
    "files.exists": True,
    "files.make_dir": True,
    "files.rename": "/tmp/d/c.txt",
    "files.list": ["c.txt"],
    "files.remove": True,
    "commands.run": "out\n",
    "commands.run failing": 3,
    "commands.list": True,
    "commands.send_stdin": "got input\n",
    "commands.connect": True,
    "commands.kill": True,
    "run_code": "45",
    "run_code failing": "ZeroDivisionError",
    "run_code in a context": "21",
    "is_running": True,
    "list": True,
    "get_info": True,
    "connect": True,
    "run on the connected": "connected\n",
    "kill": True,
}

# Every name of the tables above, and every step of the program, in the column that a reader of
# docs/compatibility.md finds it in.
GROUPS = {
    "control plane": ("api_url", "create", "connect", "list", "get_info", "set_timeout", "kill"),
    "envd REST": ("is_running", "files.write", "files.read"),
    "envd RPC": (
        "files.list",
        "files.exists",
        "files.make_dir",
        "files.rename",
        "files.remove",
        "files.watch_dir",
        "commands.run",
        "commands.run failing",
        "commands.list",
        "commands.connect",
        "commands.send_stdin",
        "commands.kill",
        "run on the connected",
    ),
    "host and URLs": (
        "sandbox_domain",
        "get_host",
        "envd_api_url",
        "envd_direct_url",
        "get_sandbox_url",
        "get_sandbox_url(port)",
        "get_sandbox_direct_url",
        "get_sandbox_direct_url(port)",
    ),
    "file links": ("download_url", "expiring download_url", "upload_url"),
    "MCP": ("get_mcp_url",),
    "Jupyter": (
        "import e2b_code_interpreter",
        "jupyter_url",
        "run_code",
        "run_code failing",
        "create_code_context",
        "run_code in a context",
    ),
    "volumes": ("volume api_url",),
    "desktop": ("import e2b_desktop", "desktop connect", "desktop stream", "desktop stream, plain"),
}


@dataclass(frozen=True)
class Conversation:
    """One run of the program, and what the server saw of it."""

    mode: str
    scheme: str
    domain: str
    id: str
    urls: Mapping[str, str]
    results: Mapping[str, Any]
    errors: Mapping[str, str]
    requests: Sequence[Mapping[str, Any]]
    environment_unchanged: bool

    @classmethod
    def of(
        cls,
        mode: str,
        scheme: str,
        domain: str,
        outcome: Mapping[str, Any],
        requests: Sequence[Mapping[str, Any]],
    ) -> Conversation:
        """From the JSON that the program printed."""
        return cls(
            mode,
            scheme,
            domain,
            outcome["id"],
            outcome["urls"],
            outcome["results"],
            outcome["errors"],
            requests,
            outcome["environment unchanged"],
        )

    def expected(self, template: str) -> str:
        return template.format(scheme=self.scheme, domain=self.domain, id=self.id)

    def url_is_right(self, surface: str) -> bool:
        expected, found = self.expected(URLS[surface]), self.urls[surface]
        if expected.endswith("*"):
            return found.startswith(expected[:-1]) and len(found) > len(expected)
        return found == expected

    def statuses(self, method: str, template: str) -> list[int]:
        """Those of every request of this route."""
        path = self.expected(template)
        return [
            # No status: the client had left before there was one.
            request["status"] or 499
            for request in self.requests
            if (request["method"], request["path"]) == (method, path)
        ]

    def addresses(self) -> set[tuple[str, str]]:
        return {(request["scheme"], request["host"]) for request in self.requests}

    def paths_outside_the_prefix(self) -> list[str]:
        return [r["path"] for r in self.requests if not r["path"].startswith("/kruise/")]
