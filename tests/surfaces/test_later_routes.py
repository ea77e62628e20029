"""Requests to later versions of the API, by the SDK's own client, as any endpoint makes them."""

from __future__ import annotations

import json

import pytest

from kruise_autopatch_local import LocalManager
from support import forked

PROGRAM = """
import asyncio, inspect, json, os, sys
import e2b, kruise_autopatch
from e2b.api import client_async, client_sync

async def settled(value):
    return await value if inspect.isawaitable(value) else value

async def main(mode):
    cls = e2b.AsyncSandbox if mode == "async" else e2b.Sandbox
    box = await settled(cls.create())
    module = client_async if mode == "async" else client_sync
    client = module.get_api_client(e2b.ConnectionConfig())
    get = client.get_async_httpx_client if mode == "async" else client.get_httpx_client
    statuses = []
    for method, path, body in (
        ("post", "timeout", {"timeout": 600, "of_v2": 1}), ("post", "pause", {}),
        ("post", "connect", {}), ("post", "hibernate", {}), ("post", "hibernate", {}),
        ("get", "logs", None),
    ):
        asked = {"method": method, "url": f"/v2/sandboxes/{box.sandbox_id}/{path}"}
        if body is not None:
            asked["json"] = body
        statuses.append((await settled(get().request(**asked))).status_code)
    status = kruise_autopatch.status()
    print(json.dumps([box.sandbox_id, statuses, list(status.unserved), str(status)]), flush=True)
    os._exit(0)

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_write_becomes_v1_and_the_rest_is_named_once(mode: str) -> None:

    with LocalManager() as manager:
        variables = {**manager.environment(), "KRUISE_E2B_LOG": "info"}
        done = forked.run(["-c", PROGRAM, mode], variables)
        assert done.returncode == 0, done.stderr
        sandbox_id, statuses, unserved, shown = json.loads(done.stdout)
        paths = [request["path"] for request in manager.requests()][-6:]
    below = "/kruise/api{}/sandboxes/" + sandbox_id
    v1, v2 = below.format(""), below.format("/v2")
    assert paths == [
        *(f"{v1}/timeout", f"{v1}/pause", f"{v1}/connect"),
        *(f"{v2}/hibernate", f"{v2}/hibernate", f"{v2}/logs"),
    ]
    assert statuses[:4] == [204, 204, 201, 405]
    named = ["POST /v2/sandboxes/ID/hibernate", "GET /v2/sandboxes/ID/logs"]
    assert unserved == named
    for route in named:
        assert f"{route}: sent as it is; a 404 or 405 means" in shown
        assert done.stderr.count(f"{route} is sent as it is") == 1


def test_an_api_that_is_none_of_openkruises_gets_what_the_sdk_sends() -> None:
    code = """
import e2b
from e2b.api.client_sync import get_api_client
from kruise_autopatch.patches.v1_routes import _HttpClient
def is_ours(**options):
    config = e2b.ConnectionConfig(api_key="e2b_00", **options)
    return type(get_api_client(config).get_httpx_client()) is _HttpClient
result = [is_ours(), is_ours(api_url="https://a.test"), is_ours(domain="e2b.app")]
"""
    variables = {"KRUISE_E2B_PATCH": "1", "E2B_DOMAIN": "kruise.test"}
    assert forked.value(code, variables) == [True, False, False]
    native = {**variables, "KRUISE_E2B_PROTOCOL": "native"}
    assert forked.value(code, native) == [True, True, False]
