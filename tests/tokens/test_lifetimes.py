"""Tokens that expire, end to end: rotation under load, outages, and the switch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kruise_autopatch_local import LocalManager
from support import forked

PROGRAM = Path(__file__).with_name("rotation.py")

# A program that is its own cluster; for both kinds of client.
PREAMBLE = """
import asyncio, inspect, json, os, sys
from kruise_autopatch import encode_api_key, patch_e2b, unpatch_e2b
from kruise_autopatch_local import LocalManager
patch_e2b(https=False)
from e2b import AsyncSandbox, ConnectionConfig, Sandbox
C = {"sync": Sandbox, "async": AsyncSandbox}[MODE]
PROTECTED = {"security.agents.kruise.io/enable-jwt-auth": "true"}

async def settle(value):
    return await value if inspect.isawaitable(value) else value

async def run(sandbox, command="echo on"):
    return (await settle(sandbox.commands.run(command))).stdout

async def raised(call):
    try:
        return await settle(call())
    except Exception as error:
        return [type(error).__name__, str(error)]

def use(manager):
    os.environ.update(E2B_DOMAIN=manager.domain, E2B_API_KEY=manager.api_key)

def data_plane(manager):
    return [r for r in manager.requests() if not r["path"].startswith("/kruise/api")]

def renewals(manager):
    return [r for r in manager.requests() if r["path"].endswith("/traffic-access-token")]

def end(result):
    print(json.dumps(result), flush=True)
    os._exit(0)
"""

MODES = pytest.mark.parametrize("mode", ["sync", "async"])


def value(mode: str, code: str, variables: dict[str, str] | None = None) -> Any:
    """What the program says at its end()."""
    program = f"MODE = {mode!r}\n{PREAMBLE}\nasync def main():\n"
    program += "".join(f"    {line}\n" for line in code.strip().splitlines())
    program += "asyncio.run(main())\n"
    return json.loads(forked.output(program, variables).splitlines()[-1])


@pytest.mark.long
def test_a_program_loses_no_request_in_twenty_lifetimes() -> None:
    # The leeway forgives a machine that is slow to deliver a request, not a client that keeps an
    # old token: the program runs for much longer.
    with LocalManager(token_validity=1.0, token_leeway=5.0) as manager:
        done = forked.run([str(PROGRAM), "1.0"], manager.environment())
        assert done.returncode == 0, done.stderr
        requests = manager.requests()
    outcome = json.loads(done.stdout.splitlines()[-1])
    assert outcome["failures"] == []
    assert outcome["done"] > 20
    renewals = [r for r in requests if r["path"].endswith("/traffic-access-token")]
    assert {r["status"] for r in renewals} == {200}
    # Three sandbox objects, each with 20 lifetimes.
    assert len(renewals) >= 3 * 20
    assert [r for r in requests if r["status"] in (401, 403)] == []


@MODES
def test_an_expired_token_is_not_sent_and_the_server_may_come_back(mode: str) -> None:
    code = """
with LocalManager(token_validity=1.0, token_leeway=60.0) as manager:
    use(manager)
    sandbox = await settle(C.create(metadata=PROTECTED))
    manager.refuse_tokens(503, retry_after=100)
    answers = []
    while not answers or answers[-1] == "on\\n":
        answers.append(await raised(lambda: run(sandbox)))
    sent = len(data_plane(manager))
    calls = [lambda: run(sandbox), sandbox.is_running, lambda: sandbox.files.read("/tmp/a"),
             lambda: sandbox.files.write("/tmp/a", "x"), lambda: sandbox.files.list("/tmp"),
             sandbox.commands.list, sandbox.refresh_traffic_access_token]
    refused = [await raised(call) for call in calls]
    nothing_sent = len(data_plane(manager)) == sent
    asked = len(renewals(manager))
    forced = await raised(lambda: sandbox.refresh_traffic_access_token(force=True))
    manager.issue_tokens()
    token = await settle(sandbox.refresh_traffic_access_token(force=True))
    end([sandbox.sandbox_id, answers[-1], refused, nothing_sent, asked, forced,
         token == sandbox.traffic_access_token, await run(sandbox),
         {r["status"] for r in data_plane(manager)} & {401, 403} == set()])
"""
    sandbox_id, first, refused, nothing_sent, asked, forced, current, run, accepted = value(
        mode, code
    )
    subject = f"The traffic access token of sandbox {sandbox_id}"
    reason = "could not be renewed: the server answered 503. Nothing was sent."
    assert first == ["TrafficAccessTokenExpired", f"{subject} has expired and {reason}"]
    assert refused == [first] * 7
    assert nothing_sent
    # Retry-After is respected.
    assert asked == 1
    assert forced == ["TrafficAccessTokenError", f"{subject} {reason}"]
    assert (current, run, accepted) == (True, "on\n", True)


@MODES
def test_a_refusal_is_not_repeated_and_the_old_token_lives_on(mode: str) -> None:
    code = """
with LocalManager(token_validity=100.0) as manager:
    use(manager)
    sandbox = await settle(C.create(metadata=PROTECTED))
    connected = await settle(C.connect(sandbox.sandbox_id))
    manager.refuse_tokens(400)
    never = [await raised(lambda: run(connected)) for _ in range(3)]
    once = len(renewals(manager))
    forced = await raised(lambda: sandbox.refresh_traffic_access_token(force=True))
    end([never, once, forced, await run(sandbox), len(data_plane(manager))])
"""
    never, once, forced, run, sent = value(mode, code)
    assert never == [never[0]] * 3
    assert never[0][0] == "TrafficAccessTokenError"
    assert never[0][1].endswith("could not be obtained: the server answered 400. Nothing was sent.")
    assert once == 1
    assert forced[0] == "TrafficAccessTokenError"
    assert (run, sent) == ("on\n", 1)


@MODES
def test_two_sandboxes_on_one_configuration_keep_their_tokens_apart(mode: str) -> None:
    code = """
with LocalManager() as manager:
    use(manager)
    made = [await settle(C.create(metadata=PROTECTED)) for _ in range(2)]
    tokens = [sandbox.traffic_access_token for sandbox in made]
    config = ConnectionConfig(extra_sandbox_headers={"X-Mine": "1"})
    both = [C(sandbox_id=one.sandbox_id, sandbox_domain=None, connection_config=config,
              envd_version=one._envd_version, envd_access_token=None, traffic_access_token=token)
            for one, token in zip(made, tokens)]
    running = [await settle(sandbox.is_running()) for sandbox in both * 2]
    renewed = await settle(both[0].refresh_traffic_access_token(force=True))
    kept = [sandbox.traffic_access_token for sandbox in both] == [renewed, tokens[1]]
    running += [await settle(sandbox.is_running()) for sandbox in both]
    mine = {r["headers"].get("x-mine") for r in data_plane(manager)}
    end([running, kept, list(mine), hasattr(config, "_kruise_traffic")])
"""
    assert value(mode, code) == [[True] * 6, True, ["1"], False]


@MODES
def test_one_that_is_asked_for_later_goes_with_every_request_from_then_on(mode: str) -> None:
    # Nothing has told the client that the sandbox is protected.
    code = """
with LocalManager() as manager:
    use(manager)
    made = await settle(C.create(metadata=PROTECTED))
    sandbox = C(sandbox_id=made.sandbox_id, sandbox_domain=None, traffic_access_token=None,
                envd_version=made._envd_version, envd_access_token=made._envd_access_token,
                connection_config=ConnectionConfig(
                    extra_sandbox_headers={"X-Access-Token": made._envd_access_token}))
    calls = [sandbox.is_running, lambda: run(sandbox), lambda: sandbox.files.write("/tmp/a", "a"),
             lambda: sandbox.files.read("/tmp/a")]
    refused = [await raised(call) for call in calls]
    hooks = len(sandbox._envd_api.event_hooks["request"])
    native = len(made._envd_api.event_hooks["request"]) - 1
    first = await settle(sandbox.refresh_traffic_access_token(force=True))
    second = await settle(sandbox.refresh_traffic_access_token(force=True))
    running, output, _, text = [await settle(call()) for call in calls]
    end(["403" in str(refused), hooks == native, first != second == sandbox.traffic_access_token,
         running, output, text, len(sandbox._envd_api.event_hooks["request"]) - hooks])
"""
    assert value(mode, code) == [True, True, True, True, "on\n", "a", 1]


@MODES
def test_an_opaque_token_is_sent_and_left_alone(mode: str) -> None:
    code = """
with LocalManager() as manager:
    use(manager)
    one = await settle(C.create())
    sandbox = C(sandbox_id=one.sandbox_id, sandbox_domain=None, envd_version=one._envd_version,
                connection_config=ConnectionConfig(), envd_access_token=None,
                traffic_access_token="opaque")
    running = await settle(sandbox.is_running())
    token = await settle(sandbox.refresh_traffic_access_token())
    (request,) = data_plane(manager)
    end([running, token, "e2b-traffic-access-token" in request["headers"],
         len(renewals(manager))])
"""
    assert value(mode, code) == [True, "opaque", True, 0]


def test_the_machinery_is_not_loaded_before_the_first_sandbox() -> None:
    code = """
import sys, e2b
result = [name for name in sys.modules if name.startswith("kruise_autopatch.tokens")]
"""
    assert forked.value(code, {"KRUISE_E2B_PATCH": "1"}) == []


@MODES
def test_switched_off_the_sdk_is_left_to_itself(mode: str) -> None:
    code = """
with LocalManager() as manager:
    use(manager)
    sandbox = await settle(C.create(metadata=PROTECTED))
    connected = await settle(C.connect(sandbox.sandbox_id))
    refused = await raised(sandbox.is_running)
    (request,) = data_plane(manager)
    token = await settle(sandbox.refresh_traffic_access_token())
    forced = await raised(lambda: sandbox.refresh_traffic_access_token(force=True))
    end([refused, request["status"], "e2b-traffic-access-token" in request["headers"],
         token == sandbox.traffic_access_token, connected.traffic_access_token, forced])
"""
    refused, status, sent, native, connected, forced = value(
        mode, code, {"KRUISE_E2B_TRAFFIC_TOKEN": "0"}
    )
    assert "403" in refused[1]
    assert (status, sent, native, connected) == (403, False, True, None)
    assert forced[0] == "TrafficAccessTokenError"
    assert "KRUISE_E2B_TRAFFIC_TOKEN" in forced[1]


@MODES
def test_after_unpatching_what_was_built_goes_on_and_renews(mode: str) -> None:
    # With a key that e2b 2.25.0 to 2.29.0 takes natively, and after a first use in this thread,
    # for which the sync client of 2.28 to 2.37 builds clients of its own.
    code = """
with LocalManager(token_validity=1.0, token_leeway=60.0) as manager:
    use(manager)
    os.environ["E2B_API_KEY"] = encode_api_key(manager.api_key)
    sandbox = await settle(C.create(metadata=PROTECTED))
    connected = await settle(C.connect(sandbox.sandbox_id))
    both = (sandbox, connected)
    for each in both:
        await settle(each.is_running()), await run(each)
    unpatch_e2b()
    before = len(renewals(manager))
    while len(renewals(manager)) < before + 4:
        outputs = [await run(each) for each in both]
        running = [await settle(each.is_running()) for each in both]
    without = [r["path"] for r in data_plane(manager)
               if "e2b-traffic-access-token" not in r["headers"]]
    end([outputs, running, without, hasattr(C, "refresh_traffic_access_token")])
"""
    assert value(mode, code) == [["on\n"] * 2, [True] * 2, [], False]


@MODES
def test_the_token_does_not_follow_a_redirect(mode: str) -> None:
    code = """
import httpx
with LocalManager() as manager:
    use(manager)
    sandbox = await settle(C.create(metadata=PROTECTED))
    client, (hook,) = sandbox._envd_api, sandbox._envd_api.event_hooks["request"][-1:]
    base = str(client.base_url).rstrip("/")
    seen = {}
    for url in (base, f"{base}/files?path=a", f"{base}?x", f"{base}0/files", "http://evil.test/",
                base.replace("127.0.0.1", "evil.test") + "/files",
                base[: base.index("/kruise")] + "/kruise/api/sandboxes"):
        request = httpx.Request("GET", url, headers={"e2b-traffic-access-token": "stale"})
        await settle(hook(request))
        token = request.headers.get("e2b-traffic-access-token")
        seen[url.replace(base, "BASE").replace(manager.domain, "DOMAIN")] = {
            None: "none", sandbox.traffic_access_token: "the token"}.get(token, token)
    end(list(seen.values()))
"""
    assert value(mode, code) == ["the token"] * 3 + ["none"] * 4
