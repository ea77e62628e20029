"""``KRUISE_E2B_NATIVE_DOMAINS``: an E2B that somebody else hosts, beside OpenKruise, as if we were
not there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support import forked, native

ON = {"KRUISE_E2B_PATCH": "1", "E2B_DOMAIN": "kruise.test", "E2B_API_KEY": "e2b_00"}
LISTED = {"KRUISE_E2B_NATIVE_DOMAINS": "e2b.example, [::1], ,other.example.:8443"}

URLS = """
import e2b
def urls(**options):
    config = e2b.ConnectionConfig(**options)
    return [config.api_url, config.get_host("s1", config.domain, 80),
            config.get_sandbox_url("s1", config.domain)]
result = urls({arguments})
"""

# Whether the list leaves a domain native.
IS_LEFT = {
    "e2b.example": True,
    "E2B.Example.": True,
    "e2b.example:8443": True,
    "eu.e2b.example": True,
    "[::1]:80": True,
    "other.example:8443": True,
    "note2b.example": False,
    "other.example": False,
    "other.example:443": False,
    "example": False,
}
EACH = f"""
{URLS.format(arguments="")}
domains = {list(IS_LEFT)}
result = {{domain: urls(domain=domain) for domain in domains}}
"""
MARKED = f"""
{EACH}
from kruise_autopatch.patches import carried
marked = {{d: carried.is_openkruise(e2b.ConnectionConfig(domain=d)) for d in domains}}
result = [result, marked]
"""


@pytest.mark.parametrize("protocol", ["private", "native"])
def test_these_clients_are_left_native_and_no_others(protocol: str) -> None:
    stock = forked.value(EACH, {"E2B_API_KEY": "e2b_00"})
    ours, marked = forked.value(MARKED, {**ON, **LISTED, "KRUISE_E2B_PROTOCOL": protocol})
    assert {domain: not is_marked for domain, is_marked in marked.items()} == IS_LEFT
    as_stock = {domain: ours[domain] == stock[domain] for domain in IS_LEFT}
    assert as_stock == {domain: left or protocol == "native" for domain, left in IS_LEFT.items()}


def test_a_default_domain_may_be_one_and_a_private_api_url_too() -> None:
    variables = {**ON, **LISTED, "E2B_DOMAIN": "e2b.example"}
    assert forked.value(URLS.format(arguments=""), variables)[0] == "https://api.e2b.example"
    private = "api_url='https://e2b.example/kruise/api', sandbox_url='https://b.test'"
    code = (
        f"{URLS.format(arguments=private)}\nresult = e2b.ConnectionConfig({private})._kruise_route"
    )
    assert forked.patched.value(code, {**ON, **LISTED, "E2B_DOMAIN": ""}) is None


@pytest.mark.parametrize("text", ["https://e2b.example", "a.test,*.b.test", "a.test b.test"])
def test_a_bad_list_is_refused(text: str) -> None:
    error = forked.error("import e2b", {**ON, "KRUISE_E2B_NATIVE_DOMAINS": text})
    assert "KRUISE_E2B_NATIVE_DOMAINS='" in error


def test_a_call_reads_it_and_status_shows_it() -> None:
    code = """
import kruise_autopatch
kruise_autopatch.patch_e2b()
import e2b
result = [e2b.ConnectionConfig(domain="e2b.example").api_url, str(kruise_autopatch.status())]
"""
    url, shown = forked.value(code, LISTED)
    assert url == "https://api.e2b.example"
    assert "native_domains=('e2b.example', '[::1]', 'other.example.:8443')" in shown


# A client of its own domain: every kind of request, whatever comes of it.
PROGRAM = """
import asyncio, inspect, json, os, sys
import e2b
from packaging.version import Version

MINE = json.loads(sys.argv[1])
OPTIONS = {**MINE, "proxy": os.environ["KRUISE_TEST_PROXY"]}
errors = []

async def tried(call):
    try:
        value = call()
        return await value if inspect.isawaitable(value) else value
    except Exception as error:
        errors.append(type(error).__name__)

async def use(cls):
    await tried(lambda: cls.create(**OPTIONS))
    await tried(lambda: cls.connect("s1", **OPTIONS))
    await tried(lambda: cls.list(**OPTIONS).next_items())
    box = cls(sandbox_id="s1", envd_version=Version("0.4.0"), envd_access_token="t",
              sandbox_domain=None, traffic_access_token="token",
              connection_config=e2b.ConnectionConfig(**OPTIONS))
    await tried(lambda: box.files.read("/a"))
    await tried(lambda: box.files.list("/"))
    await tried(lambda: box.commands.list())

async def main():
    await use(e2b.Sandbox)
    await use(e2b.AsyncSandbox)
    print(json.dumps(errors), flush=True)
    os._exit(0)

asyncio.run(main())
"""


def test_its_requests_are_those_of_the_sdk_and_bring_nothing_of_ours() -> None:
    def seen(ours: dict[str, str]) -> Any:
        with native.serving(api_key="some-api-key") as server:
            variables = {**server.variables, **ours, "E2B_API_KEY": ""}
            mine = json.dumps({"domain": server.domain, "api_key": "some-api-key"})
            done = forked.run(["-c", PROGRAM, mine], variables)
            assert done.returncode == 0, done.stderr
            requests = [
                (r["method"], r["path"], r["status"], "e2b-traffic-access-token" in r["headers"])
                for r in server.requests()
            ]
            return requests, json.loads(done.stdout)

    stock = seen({})
    left = {"KRUISE_E2B_PATCH": "1", "KRUISE_E2B_NATIVE_DOMAINS": native.HOST}
    assert seen({**left, "E2B_DOMAIN": "kruise.test"}) == stock
    # The same client, if it were OpenKruise's.
    requests, _ = seen({"KRUISE_E2B_PATCH": "1", "KRUISE_E2B_PROTOCOL": "native"})
    assert any(brought for *_, brought in requests)
    assert not any(brought for *_, brought in stock[0])
