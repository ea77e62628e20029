"""With ``KRUISE_E2B_SANDBOX_DOMAIN`` the API's host and the sandboxes' host stay two things.

Also for a program that has kept what ``sandbox_domain`` says, and comes back with it. With
``server``, where the reply names that host, any ``domain=`` may be the API's, and is taken for it.
"""

from __future__ import annotations

import json

import pytest

from kruise_autopatch_local import LocalManager
from support import forked

BEGINNING = """
import asyncio, inspect, json, os, sys
import e2b

async def settled(value):
    return await value if inspect.isawaitable(value) else value
"""

# One server by two names: the second one is the gateway.
BY_GATEWAY = """
async def main(cls):
    made = await settled(cls.create())
    kept, sandbox_id = made.sandbox_domain, made.sandbox_id
    assert kept == os.environ["KRUISE_E2B_SANDBOX_DOMAIN"], kept
    # By id.
    again = await settled(cls.connect(sandbox_id, domain=kept))
    await settled(again.files.write("/tmp/a", "by id"))
    await settled(cls.set_timeout(sandbox_id, 600, domain=kept))
    await settled(cls.list(domain=kept).next_items())
    # By object.
    token = made._envd_access_token
    config = e2b.ConnectionConfig(domain=kept, extra_sandbox_headers={"X-Access-Token": token})
    built = cls(sandbox_id=sandbox_id, sandbox_domain=kept, envd_version=made._envd_version,
                envd_access_token=token, traffic_access_token=None, connection_config=config)
    await settled(built.set_timeout(600))
    await settled(built.connect())
    await settled(built.connect(domain=kept))
    contents = await settled(built.files.read("/tmp/a"))
    if hasattr(e2b, "E2B"):
        client = e2b.E2B(domain=kept)
        bound = getattr(client, cls.__name__)
        bound = await settled(bound.connect(sandbox_id))
        await settled(bound.get_info())
        contents = await settled(bound.files.read("/tmp/a"))
    await settled(cls.kill(sandbox_id, domain=kept))
    print(contents, flush=True)
    os._exit(0)

asyncio.run(main(getattr(e2b, sys.argv[1])))
"""

ON = {"KRUISE_E2B_PATCH": "1", "KRUISE_E2B_HTTPS": "0"}


@pytest.mark.parametrize("kind", ["Sandbox", "AsyncSandbox"])
def test_a_kept_sandbox_domain_leads_back_to_the_api(kind: str) -> None:
    with LocalManager() as manager:
        gateway = manager.domain.replace("127.0.0.1", "localhost")
        variables = {**ON, **manager.environment(), "KRUISE_E2B_SANDBOX_DOMAIN": gateway}
        done = forked.patched.run(["-c", BEGINNING + BY_GATEWAY, kind], variables)
        assert done.stdout == "by id\n", done.stderr
        found = {
            (request["host"], request["path"].startswith("/kruise/api/"))
            for request in manager.requests()
        }
        assert found == {(manager.domain, True), (gateway, False)}


API_URL = "import e2b\nresult = e2b.ConnectionConfig({arguments}).api_url"
GATEWAY = {**ON, "KRUISE_E2B_SANDBOX_DOMAIN": "gateway.test:80"}


@pytest.mark.parametrize(
    ("arguments", "variables", "host"),
    [
        ("domain='Gateway.test'", {"E2B_DOMAIN": "kruise.test"}, "kruise.test"),
        ("domain='other.test'", {"E2B_DOMAIN": "kruise.test"}, "other.test"),
        ("domain='gateway.test'", {"E2B_DOMAIN": "gateway.test"}, "gateway.test"),
        ("", {"E2B_DOMAIN": "gateway.test"}, "gateway.test"),
        ("domain='gateway.test'", {"E2B_API_URL": "http://a.test/kruise/api"}, "a.test"),
        ("domain='gateway.test', api_url='http://a.test/kruise/api'", {}, "a.test"),
    ],
)
def test_a_domain_that_is_the_sandboxes_says_nothing_about_the_api(
    arguments: str, variables: dict[str, str], host: str
) -> None:
    found = forked.patched.value(API_URL.format(arguments=arguments), {**GATEWAY, **variables})
    assert found == f"http://{host}/kruise/api"


@pytest.mark.parametrize("variables", [{}, {"E2B_DOMAIN": "e2b.app"}])
def test_if_nothing_else_names_the_api_nothing_is_sent(variables: dict[str, str]) -> None:
    error = forked.patched.error(
        API_URL.format(arguments="domain='gateway.test'"), {**GATEWAY, **variables}
    )
    assert "domain='gateway.test' is the host for sandbox traffic" in error
    assert "Set E2B_DOMAIN" in error


def test_an_explicit_api_is_enough() -> None:
    code = API_URL.format(arguments="domain='gateway.test', api_url='https://a.test'")
    assert forked.patched.value(code, GATEWAY) == "https://a.test"


def test_debug_mode_is_native_for_every_domain() -> None:
    code = API_URL.format(arguments="domain='gateway.test', debug=True")
    assert forked.patched.value(code, GATEWAY) == "http://localhost:3000"


# The reply's domain: a gateway, which nobody asks here.
GATEWAYS = "gateways.example:8443"

BY_REPLY = """
async def main(cls):
    made = await settled(cls.create())
    kept, sandbox_id = made.sandbox_domain, made.sandbox_id
    again = await settled(cls.connect(sandbox_id))
    built = cls(sandbox_id=sandbox_id, sandbox_domain=kept, envd_version=made._envd_version,
                envd_access_token=None, traffic_access_token=None,
                connection_config=e2b.ConnectionConfig())
    await settled(built.set_timeout(600))
    await settled(built.connect())
    await settled(built.kill())
    boxes = [made, again, built]
    print(json.dumps([sandbox_id, [box.sandbox_domain for box in boxes],
                      [box.envd_api_url for box in boxes],
                      e2b.ConnectionConfig(domain=kept).api_url]), flush=True)
    os._exit(0)

asyncio.run(main(getattr(e2b, sys.argv[1])))
"""


@pytest.mark.parametrize("kind", ["Sandbox", "AsyncSandbox"])
def test_a_domain_that_the_server_replied_is_kept_for_the_sandbox_alone(kind: str) -> None:
    with LocalManager(e2b_domain=GATEWAYS) as manager:
        variables = {**ON, **manager.environment(), "KRUISE_E2B_SANDBOX_DOMAIN": "server"}
        done = forked.patched.run(["-c", BEGINNING + BY_REPLY, kind], variables)
        assert done.returncode == 0, done.stderr
        sandbox_id, domains, urls, api_url = json.loads(done.stdout)
        hosts = [request["host"] for request in manager.requests()]
    assert domains == [GATEWAYS] * 3
    assert urls == [f"http://{GATEWAYS}/kruise/{sandbox_id}/49983"] * 3
    # Created, connected to twice, its time set, killed.
    assert hosts == [manager.domain] * 5
    # But as an argument it is what it says.
    assert api_url == f"http://{GATEWAYS}/kruise/api"
