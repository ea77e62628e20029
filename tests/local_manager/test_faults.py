"""Faults on demand: what the installed SDK makes of each, and who may ask for one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Callable

import httpcore
import httpx
import pytest

from kruise_autopatch_local import LocalManager
from kruise_autopatch_local.own import faults
from support import fresh

from .clients import Sandbox

PAGE = Path(__file__).resolve().parents[2] / "docs" / "local-manager.md"

Step = Callable[[Any], Any]

STEPS: dict[str, Step] = {
    "run": lambda sdk: sdk.commands.run("echo hello").stdout,
    "read": lambda sdk: sdk.files.read("/etc/hostname"),
    "list": lambda sdk: sdk.files.list("/etc"),
}


@pytest.mark.parametrize("step", STEPS.values(), ids=list(STEPS))
@pytest.mark.parametrize(
    ("kind", "error"), [("401", "AuthenticationException"), ("502", "TimeoutException")]
)
def test_the_sdk_is_refused_until_the_fault_ends(
    manager: LocalManager, sdk: Any, kind: str, error: str, step: Step
) -> None:
    import e2b

    with (
        manager.fault(kind, path=f"/kruise/{sdk.sandbox_id}/*") as fault,
        pytest.raises(getattr(e2b, error)),
    ):
        step(sdk)
    assert fault.met > 0
    assert step(sdk)


@pytest.mark.parametrize("step", STEPS.values(), ids=list(STEPS))
def test_a_stream_is_dropped(manager: LocalManager, sdk: Any, step: Step) -> None:
    import e2b

    # The message is the transport's; a whole reply would be a result.
    with (
        manager.fault("dropped-stream", path=f"/kruise/{sdk.sandbox_id}/*") as fault,
        pytest.raises((e2b.SandboxException, httpx.RemoteProtocolError, httpcore.ProtocolError)),
    ):
        step(sdk)
    assert fault.met > 0
    assert step(sdk)


def test_what_has_begun_to_arrive_before_a_stream_is_dropped_has_arrived(
    manager: LocalManager, sandbox: Sandbox
) -> None:
    body = {"code": "print('begun', flush=True); import time; time.sleep(1000)"}
    url = f"{sandbox.url(49999)}/execute"
    with manager.fault("dropped-stream", path=f"/kruise/{sandbox.id}/*"):
        parts: list[bytes] = []
        with (
            sandbox.client.stream("POST", url, json=body) as reply,
            pytest.raises(httpx.RemoteProtocolError),
        ):
            parts.extend(reply.iter_raw())
    assert reply.status_code == 200
    assert parts


def test_an_answer_is_late_and_whoever_waits_for_it_goes_on_when_the_fault_ends(
    manager: LocalManager, sdk: Any
) -> None:
    import e2b

    fault = manager.fault("latency", seconds=3600, path=f"/kruise/{sdk.sandbox_id}/*")
    with fault, pytest.raises((e2b.TimeoutException, httpx.ReadTimeout)):
        sdk.files.read("/etc/hostname", request_timeout=0.5)
    assert fault.met > 0
    with manager.fault("latency", seconds=0.01, path=f"/kruise/{sdk.sandbox_id}/*") as fault:
        assert sdk.commands.run("echo hello").stdout == "hello\n"
        assert fault.met == 1


def test_a_sandbox_is_killed_before_it_is_reached(
    manager: LocalManager, sdk: Any, api: httpx.Client
) -> None:
    import e2b

    before = manager.mark()
    with (
        manager.fault("killed-sandbox", path=f"/kruise/{sdk.sandbox_id}/*") as fault,
        pytest.raises(e2b.TimeoutException),
    ):
        sdk.commands.run("echo hello")
    # Another attempt finds no sandbox, as did the first.
    assert fault.met == 1
    assert {request["status"] for request in manager.requests(since=before)} == {502}
    assert api.get(f"/sandboxes/{sdk.sandbox_id}").status_code == 404


def test_a_sandbox_is_killed_amid_a_command(
    manager: LocalManager, sandbox: Sandbox, api: httpx.Client
) -> None:
    fault = manager.fault("killed-sandbox", seconds=0.5, path=f"/kruise/{sandbox.id}/*", times=1)
    with fault, pytest.raises(httpx.RemoteProtocolError):
        sandbox.run("sleep 1000")
    assert api.get(f"/sandboxes/{sandbox.id}").status_code == 404


def test_a_fault_that_ends_first_kills_nothing(
    manager: LocalManager, sandbox: Sandbox, api: httpx.Client
) -> None:
    with manager.fault("killed-sandbox", seconds=3600, path=f"/kruise/{sandbox.id}/*") as fault:
        assert sandbox.run("echo hello") == "hello\n"
    assert fault.met == 1
    assert api.get(f"/sandboxes/{sandbox.id}").status_code == 200


EXPIRED_TOKEN = """
from e2b import Sandbox
from e2b.exceptions import SandboxException
from kruise_autopatch import patch_e2b
from kruise_autopatch_local import LocalManager

patch_e2b(https=False)
result = {}
with LocalManager() as manager:
    metadata = {"security.agents.kruise.io/enable-jwt-auth": "true"}
    where = {"domain": manager.domain, "api_key": manager.api_key}
    with Sandbox.create(metadata=metadata, **where) as sandbox, Sandbox.create(**where) as open:
        with manager.fault("expired-token") as fault:
            # It concerns neither the API nor a sandbox that is not protected.
            open.commands.run("true")
            try:
                sandbox.commands.run("true")
            except SandboxException as error:
                result["refused"] = str(error)
            result["met"] = fault.met
            sandbox.refresh_traffic_access_token(force=True)
            result["renewed"] = sandbox.commands.run("echo hello").stdout
            result["met in the end"] = fault.met
"""


def test_an_expired_token_is_refused_until_there_is_a_newer_one() -> None:
    result = fresh.value(EXPIRED_TOKEN)
    assert "expired e2b-traffic-access-token" in result.pop("refused")
    assert result == {"met": 1, "renewed": "hello\n", "met in the end": 1}


def test_a_fault_of_the_api(manager: LocalManager, api: httpx.Client) -> None:
    with manager.fault("401", path="/kruise/api/teams"):
        assert api.get("/teams").json()["message"] == "Invalid API Key"
        assert api.get("/templates").status_code == 200
    with manager.fault("502", path="/kruise/api/teams"):
        assert api.get("/teams").status_code == 502
    # Of no sandbox, and of no token.
    for kind in ("killed-sandbox", "expired-token"):
        with manager.fault(kind, path="/kruise/api/teams") as fault:
            assert api.get("/teams").status_code == 200
        assert fault.met == 0


def test_a_fault_may_meet_some_requests_only_and_several_may_meet_one(
    manager: LocalManager, api: httpx.Client
) -> None:
    with manager.fault("502", path="/kruise/api/teams", times=2) as fault:
        assert [api.get("/teams").status_code for _ in range(3)] == [502, 502, 200]
        assert fault.met == 2
    with (
        manager.fault("dropped-stream", path="/kruise/api/teams") as outer,
        manager.fault("401", path="/kruise/api/teams") as inner,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        api.get("/teams")
    assert (outer.met, inner.met) == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "404"}, "there is no fault '404': use one of latency, 401"),
        ({"kind": "401", "seconds": 1}, "the fault '401' takes no seconds"),
        ({"kind": "latency", "seconds": -1}, "seconds -1 are not a number from 0 to 3600"),
        ({"kind": "latency", "seconds": float("nan")}, "seconds nan are not a number"),
        ({"kind": "401", "times": 0}, "times 0 is not a whole number from 1 on"),
        ({"kind": "401", "path": 3}, "path 3 is not a pattern"),
    ],
)
def test_a_wrong_description_is_refused(
    manager: LocalManager, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)), manager.fault(**arguments):
        pass


# --- the control route -----------------------------------------------------------------------


def test_the_control_route(api: httpx.Client, manager: LocalManager) -> None:
    url = f"{manager.url}/local/faults"
    begun = api.post(url, json={"kind": "502", "path": "/kruise/api/snapshots"})
    assert begun.status_code == 201
    fault = begun.json()
    assert fault == {
        "id": fault["id"],
        "kind": "502",
        "seconds": 0,
        "path": "/kruise/api/snapshots",
        "times": None,
        "met": 0,
    }
    assert api.get("/snapshots").status_code == 502
    assert {**fault, "met": 1} in api.get(url).json()
    assert api.delete(f"{url}/{fault['id']}").json() == {**fault, "met": 1}
    assert api.get("/snapshots").status_code == 200
    assert api.delete(f"{url}/{fault['id']}").status_code == 404


def test_the_control_route_needs_the_key_and_a_name_of_ours(
    api: httpx.Client, plain: httpx.Client
) -> None:
    for method, path in (("POST", "faults"), ("GET", "faults"), ("DELETE", "faults/x")):
        for headers in ({}, {"X-API-Key": "wrong"}):
            answer = plain.request(method, f"/local/{path}", headers=headers)
            assert answer.status_code == 401
    key = {"X-API-Key": api.headers["X-API-Key"]}
    for headers, status in (
        ({"Host": "evil.example"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ):
        assert plain.get("/local/faults", headers={**key, **headers}).status_code == status


@pytest.mark.parametrize(
    "body", ["", "[", "[]", '"502"', "[" * 100_000, '{"a": 1}', '{"kind": []}']
)
def test_a_body_that_describes_nothing(api: httpx.Client, manager: LocalManager, body: str) -> None:
    answer = api.post(f"{manager.url}/local/faults", content=body)
    assert answer.status_code == 400
    assert len(answer.text.splitlines()) == 1


def test_paths_of_sandboxes_and_of_the_native_api_are_theirs(plain: httpx.Client) -> None:
    port = "49983-default--nope.localhost"
    assert plain.get("/local/faults", headers={"Host": port}).status_code == 502
    assert plain.get("/local/faults", headers={"Host": "api.localhost"}).status_code == 404


def test_it_is_not_in_the_log_of_requests(manager: LocalManager) -> None:
    before = manager.mark()
    with manager.fault("401", path="/none"):
        pass
    assert manager.requests(since=before) == []


def test_the_docs_have_every_fault() -> None:
    rows = re.findall(r'^\| `"(.*?)"` \| (.*) \|$', PAGE.read_text("utf-8"), re.M)
    assert dict(rows) == {name: kind.meaning for name, kind in faults.KINDS.items()}
