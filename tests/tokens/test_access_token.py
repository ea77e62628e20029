"""The sandbox's own access token, with the requests to Jupyter: where it goes, and where not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support import forked, fresh

PROGRAM = """
import asyncio, inspect, json, os
import httpx
from packaging.version import Version
import e2b_code_interpreter
from e2b import ConnectionConfig

async def settle(value):
    return await value if inspect.isawaitable(value) else value

def urls(base):
    root = base[: base.index("/kruise")]
    here = [f"{base}/contexts", f"{base}/execute?x"]
    elsewhere = [f"{base}0/contexts", base.replace("/box/", "/box2/") + "/contexts",
                 base.replace("127.0.0.1", "evil.test") + "/contexts",
                 f"{root}/kruise/api/sandboxes"]
    return here, elsewhere

async def sent(access, traffic, headers):
    C = getattr(e2b_code_interpreter, CLIENT)
    sandbox = C(sandbox_id="box", sandbox_domain=None, envd_version=Version("0.2.10"),
                envd_access_token=access, traffic_access_token=traffic,
                connection_config=ConnectionConfig())
    found = []
    for group in urls(sandbox._jupyter_url):
        seen = set()
        for url in group:
            # The SDK builds a client for each request; each must be made to send the token.
            for client in (sandbox._client, sandbox._client):
                request = httpx.Request("GET", url, headers=headers)
                for hook in client.event_hooks["request"]:
                    await settle(hook(request))
                seen.add((request.headers.get("x-access-token"),
                          request.headers.get("e2b-traffic-access-token")))
        found.append(sorted(seen, key=str))
    return found

async def main():
    print(json.dumps([await sent(*case) for case in CASES]), flush=True)
    os._exit(0)

asyncio.run(main())
"""

STALE = {"X-Access-Token": "mine", "E2B-Traffic-Access-Token": "stale"}

# The sandbox's tokens, and headers that a request has already; with them, the tokens that it takes
# to the sandbox's Jupyter. Elsewhere it takes none, should a redirect have led it there.
CASES = {
    "its own": ("access", None, {}, ["access", None]),
    "both": ("access", "opaque", {}, ["access", "opaque"]),
    "what the program says": ("access", None, STALE, ["mine", "stale"]),
    "none": (None, None, {}, [None, None]),
}
OFF = {**CASES, "both": ("access", "opaque", {}, ["access", None])}


@pytest.mark.parametrize("client", ["Sandbox", "AsyncSandbox"])
@pytest.mark.parametrize(("switch", "cases"), [("1", CASES), ("0", OFF)], ids=["on", "off"])
def test_it_goes_to_the_sandboxes_jupyter_and_nowhere_else(
    client: str, switch: str, cases: dict[str, tuple[Any, ...]]
) -> None:
    variables = {
        "KRUISE_E2B_PATCH": "1",
        "KRUISE_E2B_HTTPS": "0",
        "KRUISE_E2B_TRAFFIC_TOKEN": switch,
        "E2B_DOMAIN": "127.0.0.1:9",
        "E2B_API_KEY": "e2b_00",
    }
    names = f"CLIENT, CASES = {client!r}, {[case[:3] for case in cases.values()]!r}\n"
    found = json.loads(forked.patched.output(names + PROGRAM, variables).splitlines()[-1])
    expected = {name: [[tokens], [[None, None]]] for name, (*_, tokens) in cases.items()}
    assert dict(zip(cases, found)) == expected


JUPYTER = """
import asyncio, inspect
import e2b, e2b_code_interpreter, httpx
from packaging.version import Version

async def taken(cls):
    box = cls(sandbox_id="box", sandbox_domain=None, envd_version=Version("0.2.10"),
              envd_access_token="access", traffic_access_token="opaque",
              connection_config=e2b.ConnectionConfig())
    request = httpx.Request("POST", f"{box._jupyter_url}/execute")
    for hook in box._client.event_hooks["request"]:
        value = hook(request)
        if inspect.isawaitable(value):
            await value
    return [request.headers.get("x-access-token"), request.headers.get("e2b-traffic-access-token")]

result = [asyncio.run(taken(getattr(e2b_code_interpreter, name)))
          for name in ("Sandbox", "AsyncSandbox")]
"""


@pytest.mark.parametrize(
    ("scheme", "domain"),
    [
        ("https", "kruise.test:443"),
        ("http", "kruise.test:80"),
        ("https", "kruise.test:8443"),
        ("http", "Kruise.Test"),
        ("https", "[::1]:443"),
        ("https", "b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.test"),
    ],
)
def test_it_goes_there_however_the_domain_is_spelled(scheme: str, domain: str) -> None:
    variables = {
        "KRUISE_E2B_PATCH": "1",
        "KRUISE_E2B_HTTPS": str(int(scheme == "https")),
        "E2B_DOMAIN": domain,
        "E2B_API_KEY": "e2b_00",
        "PYTHONUTF8": "1",
    }
    assert fresh.value(JUPYTER, variables) == [["access", "opaque"]] * 2
