"""No request may lead to an exception in the server, or end it."""

from __future__ import annotations

import os
import socket
from collections import Counter
from contextlib import suppress

import httpx
import pytest

from kruise_autopatch_local import LocalManager
from support.fresh import PATIENCE

from . import malformed
from .clients import PATIENTLY

SEED, NUMBER = 20261128, 500


def test_no_request_yields_a_traceback() -> None:
    with LocalManager(newer=True) as manager:
        headers = {"X-API-Key": manager.api_key}
        with httpx.Client(headers=headers, **PATIENTLY) as client:
            body = {"templateID": "base", "timeout": 6000}
            made = client.post(f"{manager.url}/kruise/api/sandboxes", json=body).json()
            statuses: Counter[int | None] = Counter()
            for request in malformed.requests(
                SEED, NUMBER, made["sandboxID"], made["envdAccessToken"], manager.api_key
            ):
                statuses[malformed.send(manager.domain, request)] += 1
                errors = os.pread(manager._errors.fileno(), 1_000_000, 0).decode()
                assert "Traceback" not in errors, f"{request}\n{errors}"
            # The sandbox is still there, and most requests reached something.
            health = f"{manager.url}/kruise/{made['sandboxID']}/49983/health"
            assert client.get(health).status_code == 204
            assert statuses[502] < NUMBER / 10


@pytest.mark.parametrize(
    "path",
    ["api/sandboxes", "{id}/49983/process.Process/Start", "{id}/49983/files", "{id}/49999/execute"],
)
def test_a_client_that_goes_amid_its_request_is_no_error(path: str) -> None:
    with LocalManager() as manager, httpx.Client(**PATIENTLY) as client:
        key = {"X-API-Key": manager.api_key}
        sandboxes = f"{manager.url}/kruise/api/sandboxes"
        made = client.post(sandboxes, json={"templateID": "base"}, headers=key).json()
        host, port = manager.domain.split(":")
        lines = [
            f"POST /kruise/{path.format(id=made['sandboxID'])} HTTP/1.1",
            f"Host: {manager.domain}",
            f"X-API-Key: {manager.api_key}",
            f"X-Access-Token: {made['envdAccessToken']}",
            "Authorization: Basic dXNlcjo=",
            "Content-Type: application/connect+json",
            "Content-Length: 1000",
        ]
        with socket.create_connection((host, int(port))) as leaving:
            leaving.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + b"begun")
        # When the sandbox has ended, whatever it had to say of it has been said.
        client.delete(f"{sandboxes}/{made['sandboxID']}", headers=key)
        errors = os.pread(manager._errors.fileno(), 1_000_000, 0).decode()
        assert "Traceback" not in errors, errors


def test_a_head_without_an_end_is_refused(manager: LocalManager) -> None:
    host, port = manager.domain.split(":")
    with socket.create_connection((host, int(port))) as talking:
        talking.settimeout(PATIENCE)
        talking.sendall(b"GET / HTTP/1.1\r\n")
        with suppress(ConnectionError):
            for _ in range(100):
                talking.sendall(b"X-More: and more\r\n" * 100)
            talking.sendall(b"\r\n")
        assert talking.recv(100).startswith(b"HTTP/1.1 400 ")


def test_the_same_seed_makes_the_same_requests() -> None:
    one, other = (list(malformed.requests(1, 50, "id", "token", "key")) for _ in range(2))
    assert one == other
