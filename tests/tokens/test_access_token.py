"""The sandbox's own access token, with the requests to Jupyter: where it goes, and where not."""

from __future__ import annotations

import json

import fresh
import pytest

PROGRAM = """
import asyncio, inspect, json, os
import httpx
from packaging.version import Version
import e2b_code_interpreter
from e2b import ConnectionConfig

async def settle(value):
    return await value if inspect.isawaitable(value) else value

async def main():
    seen = []
    C = getattr(e2b_code_interpreter, CLIENT)
    sandbox = C(sandbox_id="box", sandbox_domain=None, envd_version=Version("0.2.10"),
                envd_access_token=ACCESS, traffic_access_token=TRAFFIC,
                connection_config=ConnectionConfig())
    # The SDK builds a client for each request; each must be made to send the token.
    for client in (sandbox._client, sandbox._client):
        hooks = client.event_hooks["request"]
        base = sandbox._jupyter_url
        for url in (f"{base}/contexts", f"{base}/execute?x", f"{base}0/contexts",
                    base.replace("/box/", "/box2/") + "/contexts",
                    base.replace("127.0.0.1", "evil.test") + "/contexts",
                    base[: base.index("/kruise")] + "/kruise/api/sandboxes"):
            request = httpx.Request("GET", url, headers=HEADERS)
            for hook in hooks:
                await settle(hook(request))
            seen.append([request.headers.get("x-access-token"),
                         request.headers.get("e2b-traffic-access-token")])
    print(json.dumps(seen), flush=True)
    os._exit(0)

asyncio.run(main())
"""

CLIENTS = pytest.mark.parametrize("client", ["Sandbox", "AsyncSandbox"])


def seen(client: str, **names: object) -> list[object]:
    given = {"ACCESS": "access", "TRAFFIC": None, "HEADERS": {}, **names}
    switch = str(given.pop("switch", "1"))
    program = "".join(f"{name} = {value!r}\n" for name, value in given.items())
    variables = {
        "KRUISE_E2B_PATCH": "1",
        "KRUISE_E2B_HTTPS": "0",
        "KRUISE_E2B_TRAFFIC_TOKEN": switch,
        "E2B_DOMAIN": "127.0.0.1:9",
        "E2B_API_KEY": "e2b_00",
    }
    output = fresh.output(f"CLIENT = {client!r}\n{program}{PROGRAM}", variables)
    found: list[object] = json.loads(output.splitlines()[-1])
    assert found[:6] == found[6:]
    return found[:6]


@CLIENTS
@pytest.mark.parametrize("switch", ["0", "1"])
def test_it_goes_to_the_sandboxes_jupyter_and_nowhere_else(client: str, switch: str) -> None:
    sent = ["access", None]
    assert seen(client, switch=switch) == [sent, sent, *[[None, None]] * 4]


@CLIENTS
def test_both_tokens_go_together(client: str) -> None:
    sent = ["access", "opaque"]
    assert seen(client, TRAFFIC="opaque") == [sent, sent, *[[None, None]] * 4]


@CLIENTS
def test_it_follows_no_redirect_and_yields_to_what_the_program_says(client: str) -> None:
    headers = {"X-Access-Token": "mine", "E2B-Traffic-Access-Token": "stale"}
    expected = [["mine", "stale"]] * 2 + [[None, None]] * 4
    assert seen(client, HEADERS=headers) == expected


@CLIENTS
def test_a_sandbox_without_one_sends_none(client: str) -> None:
    assert seen(client, ACCESS=None) == [[None, None]] * 6
