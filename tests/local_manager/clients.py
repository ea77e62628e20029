"""Small clients for a sandbox: one on httpx, and the installed SDK bound to a URL."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from typing import Any

import httpx

from kruise_autopatch_local import LocalManager
from support import fresh

# How the SDKs say whose account a request to envd is for.
USER = {"Authorization": "Basic " + base64.b64encode(b"user:").decode()}
# For each client of httpx: whose own limit, 5 s, a slow machine meets.
PATIENTLY: dict[str, Any] = {"trust_env": False, "timeout": fresh.PATIENCE}


def streaming(token: str) -> dict[str, str]:
    """The headers of an RPC that streams; `token` is the sandbox's access token."""
    return {"Content-Type": "application/connect+json", "X-Access-Token": token, **USER}


def command(script: str) -> bytes:
    """The body of such a request to start a shell script."""
    return framed({"process": {"cmd": "/bin/sh", "args": ["-c", script]}})


def framed(message: dict[str, Any]) -> bytes:
    """A message of the Connect protocol: its flags, its length, JSON."""
    body = json.dumps(message).encode()
    return struct.pack(">BI", 0, len(body)) + body


class Sandbox:
    """A sandbox's data plane, without an SDK."""

    def __init__(
        self, manager: LocalManager, created: dict[str, Any], client: httpx.Client
    ) -> None:
        self.id: str = created["sandboxID"]
        self.token: str = created["envdAccessToken"]
        self.domain = manager.domain
        self.client = client
        self._prefix = f"{manager.url}/kruise/{self.id}"

    def url(self, port: int = 49983) -> str:
        return f"{self._prefix}/{port}"

    def envd(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"X-Access-Token": self.token, **USER, **options.pop("headers", {})}
        return self.client.request(method, self.url() + path, headers=headers, **options)

    def write(self, path: str, data: bytes) -> httpx.Response:
        """Upload a file, as the account `user`."""
        form = {"file": ("ignored", data)}
        query = {"path": path, "username": "user"}
        return self.envd("POST", "/files", params=query, files=form)

    def read(self, path: str, **options: Any) -> httpx.Response:
        """Download a file, as the account `user`."""
        query = {"path": path, "username": "user"}
        return self.envd("GET", "/files", params=query, **options)

    def run(self, script: str) -> str:
        """What a shell script prints, as the SDKs run it."""
        process = {"cmd": "/bin/bash", "args": ["-l", "-c", script]}
        messages = self.stream("process.Process/Start", process=process)
        chunks = [
            message.get("event", {}).get("data", {}).get("stdout", "") for message in messages
        ]
        return b"".join(base64.b64decode(chunk) for chunk in chunks).decode()

    def rpc(self, name: str, **message: Any) -> httpx.Response:
        """A unary RPC in JSON, e.g. `rpc("filesystem.Filesystem/Stat", path="/tmp")`."""
        return self.envd("POST", f"/{name}", json=message)

    def stream(self, name: str, **message: Any) -> list[dict[str, Any]]:
        """All messages of a server-streaming RPC in JSON, the end of the stream included."""
        response = self.envd(
            "POST", f"/{name}", content=framed(message), headers=streaming(self.token)
        )
        assert response.status_code == 200
        return [json.loads(body) for _, body in envelopes(response.content)]

    def run_code(self, code: str, **more: Any) -> list[dict[str, Any]]:
        response = self.client.post(f"{self.url(49999)}/execute", json={"code": code, **more})
        assert response.status_code == 200, response.text
        lines = [json.loads(line) for line in response.text.splitlines()]
        # A sign of life: the code has been silent for some seconds.
        return [line for line in lines if line["type"] != "keepalive"]


def envelopes(content: bytes) -> Iterator[tuple[int, bytes]]:
    while content:
        flags, length = struct.unpack(">BI", content[:5])
        yield flags, content[5 : 5 + length]
        content = content[5 + length :]


def bound(kind: Any, sandbox: Sandbox, manager: LocalManager) -> Any:
    """An SDK object of a class, as `create` would have made it."""
    from e2b.connection_config import ConnectionConfig
    from packaging.version import Version

    config = ConnectionConfig(
        # The form that every release's own check accepts.
        api_key="e2b_" + "0" * 40,
        api_url=f"{manager.url}/kruise/api",
        sandbox_url=sandbox.url(),
        extra_sandbox_headers={"X-Access-Token": sandbox.token},
    )
    return kind(
        sandbox_id=sandbox.id,
        sandbox_domain=manager.domain,
        envd_version=Version("0.2.10"),
        envd_access_token=sandbox.token,
        traffic_access_token=None,
        connection_config=config,
    )
