"""Who is let in: programs that know the key or the id, but no page of another site, no user."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import httpx
import psutil
import pytest

from kruise_autopatch_local import LocalManager

from .clients import PATIENTLY, Sandbox


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "10.0.0.1", ""])
def test_no_foreign_host(api: httpx.Client, sandbox: Sandbox, host: str) -> None:
    """A site whose name leads to 127.0.0.1 has its own name in the Host."""
    for url in ("v2/sandboxes", sandbox.url() + "/health", sandbox.url(49999) + "/health"):
        assert api.get(url, headers={"Host": host}).status_code == 421


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.2:9", "[::1]", "x.localhost"]
)
def test_every_name_of_loopback(api: httpx.Client, host: str) -> None:
    assert api.get("v2/sandboxes", headers={"Host": host}).status_code == 200


def test_the_static_domain_is_a_name_of_ours() -> None:
    with LocalManager(e2b_domain="static.example:8443") as manager:
        headers = {"X-API-Key": manager.api_key, "Host": "static.example"}
        url = f"{manager.url}/kruise/api/v2/sandboxes"
        assert httpx.get(url, headers=headers, **PATIENTLY).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "https://127.0.0.1.evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_no_page_of_another_site(
    api: httpx.Client, sandbox: Sandbox, headers: dict[str, str]
) -> None:
    body = {"code": "1"}
    assert api.get("v2/sandboxes", headers=headers).status_code == 403
    execute = sandbox.url(49999) + "/execute"
    assert sandbox.client.post(execute, json=body, headers=headers).status_code == 403
    # Nor by a websocket.
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus

    async def talk() -> None:
        url = f"ws{sandbox.url(3000)[len('http') :]}/"
        async with connect(url, proxy=None, additional_headers=headers):
            pass

    with pytest.raises(InvalidStatus) as refused:
        asyncio.run(talk())
    assert refused.value.response.status_code == 403


def test_a_page_of_a_sandbox_may_ask(sandbox: Sandbox, manager: LocalManager) -> None:
    headers = {"Origin": manager.url, "Sec-Fetch-Site": "same-origin"}
    response = sandbox.client.get(sandbox.url() + "/health", headers=headers)
    assert response.status_code == 204


def test_nothing_secret_is_in_a_command_line(manager: LocalManager, sandbox: Sandbox) -> None:
    sandbox.run_code("1")
    secrets = (manager.api_key, sandbox.id, sandbox.token)
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        assert not any(secret in line for secret in secrets), line


def test_no_other_user_can_look_into_the_directories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with LocalManager() as manager:
        headers = {"X-API-Key": manager.api_key}
        body = {"templateID": "base"}
        url = f"{manager.url}/kruise/api/sandboxes"
        assert httpx.post(url, json=body, headers=headers, **PATIENTLY).status_code == 201
        made = [path for path in tmp_path.iterdir() if path.name.startswith("kruise-local-")]
        assert made
        for path in made:
            assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert manager._log is not None
        assert stat.S_IMODE(os.stat(manager._log).st_mode) == 0o600


def test_the_gateway_can_demand_the_sandboxs_token() -> None:
    with (
        LocalManager(gateway="uuid") as manager,
        httpx.Client(**PATIENTLY) as client,
    ):
        made = client.post(
            f"{manager.url}/kruise/api/sandboxes",
            json={"templateID": "base"},
            headers={"X-API-Key": manager.api_key},
        ).json()
        token = {"X-Access-Token": made["envdAccessToken"]}
        for port, path in ((49983, "health"), (49999, "health"), (49999, "contexts")):
            url = f"{manager.url}/kruise/{made['sandboxID']}/{port}/{path}"
            assert client.get(url).status_code == 401
            assert client.get(url, headers={"X-Access-Token": "x"}).status_code == 401
            assert client.get(url, headers=token).is_success
