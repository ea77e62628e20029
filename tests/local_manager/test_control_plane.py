"""The API: statuses, fields and messages of openkruise/agents, pkg/servers/e2b."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Any

import httpx
import pytest

from kruise_autopatch_local import LocalManager


def test_create_replies_the_servers_fields(api: httpx.Client, manager: LocalManager) -> None:
    body = {"templateID": "my-template", "timeout": 60, "metadata": {"a": "b"}, "secure": False}
    response = api.post("/sandboxes", json=body)
    sandbox = response.json()
    assert response.status_code == 201
    assert re.fullmatch("sbx[a-z2-7]{13}", sandbox["sandboxID"])
    assert sandbox["envdVersion"] == "0.2.10"
    assert sandbox["envdAccessToken"]
    assert sandbox["domain"] == manager.domain
    assert sandbox["clientID"] == ""
    assert sandbox["state"] == "running"
    assert sandbox["metadata"] == {
        "a": "b",
        "e2b.agents.kruise.io/sandbox-resource": f"default/{sandbox['sandboxID']}",
    }
    assert "trafficAccessToken" not in sandbox
    assert api.delete(f"/sandboxes/{sandbox['sandboxID']}").status_code == 204


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"templateID": "nope"}, 400, "Template or Checkpoint not found"),
        ({"templateID": "base", "timeout": 29}, 400, "timeout should between 30 and 2592000"),
        ({"templateID": "base", "timeout": 2592001}, 400, "timeout should between"),
        ({"templateID": "base", "metadata": {"a b": "c"}}, 400, "Unqualified metadata key [a b]"),
        ({"templateID": "base", "timeout": "soon"}, 500, "timeout"),
    ],
)
def test_create_refuses(api: httpx.Client, body: Any, status: int, message: str) -> None:
    response = api.post("/sandboxes", json=body)
    assert response.status_code == status
    assert response.json().keys() == {"code", "headers", "message", "request_id"}
    assert response.json()["code"] == status
    assert response.json()["headers"] is None
    assert message in response.json()["message"]


def test_a_timeout_of_0_means_300_seconds(api: httpx.Client) -> None:
    sandbox = api.post("/sandboxes", json={"templateID": "base", "timeout": 0}).json()
    assert lifetime(sandbox) == 300
    api.delete(f"/sandboxes/{sandbox['sandboxID']}")


@pytest.mark.parametrize("path", ["/v2/sandboxes", "/v2/sandboxes/some-id/connect"])
@pytest.mark.parametrize("prefix", ["", "/kruise/api"])
def test_the_v2_routes_of_newer_sdks_do_not_exist(
    plain: httpx.Client, prefix: str, path: str
) -> None:
    response = plain.post(prefix + path, json={})
    assert response.status_code == 405
    assert response.headers["content-type"].startswith("text/plain")
    assert response.headers["allow"] == "GET, HEAD"
    assert response.text == "Method Not Allowed\n"


def test_both_forms_of_the_key_are_accepted_and_no_other(plain: httpx.Client) -> None:
    # The encoded form of `some-api-key`, as openkruise/agents' own tool prints it.
    encoded = "e2b_6f6b6167010000000c736f6d652d6170692d6b657947a2e62d3ce60d6d"
    for key, status in (("some-api-key", 200), (encoded, 200), ("other", 401), ("", 401)):
        response = plain.get("/kruise/api/v2/sandboxes", headers={"X-API-KEY": key})
        assert response.status_code == status
    assert response.json()["message"] == "Invalid API Key"


def test_native_and_private_routes(plain: httpx.Client, created: dict[str, Any]) -> None:
    path = f"/sandboxes/{created['sandboxID']}"
    headers = {"X-API-Key": "some-api-key"}
    assert plain.get(path, headers=headers).json()["sandboxID"] == created["sandboxID"]
    assert plain.get("/health").text == "OK"
    assert plain.get("/kruise/api/health").status_code == 404
    assert plain.get("/kruise/apix").text == "404 page not found\n"
    token = f"{path}/traffic-access-token"
    assert plain.post("/kruise/api" + token, headers=headers).status_code == 409
    assert plain.post(token, headers=headers).status_code == 500  # falls through to create


def test_subtrees_fall_through_to_shorter_routes(
    api: httpx.Client, created: dict[str, Any]
) -> None:
    path = f"/sandboxes/{created['sandboxID']}"
    assert api.get(f"{path}/metrics").json()["sandboxID"] == created["sandboxID"]
    fork = api.post(f"{path}/fork", json={})
    assert (fork.status_code, fork.json()["message"]) == (400, "Template or Checkpoint not found")
    redirected = api.get(f"{api.base_url}/{path}")
    assert redirected.status_code == 307
    assert redirected.headers["location"] == f"/kruise/api{path}"


@pytest.mark.parametrize(
    ("method", "suffix"),
    [("GET", ""), ("DELETE", ""), ("POST", "/connect"), ("POST", "/pause"), ("POST", "/timeout")],
)
def test_an_unknown_sandbox(api: httpx.Client, method: str, suffix: str) -> None:
    response = api.request(method, f"/sandboxes/sbxnope{suffix}")
    assert response.status_code == 404
    assert response.json()["message"] == (
        "Sandbox route not found, maybe it is crashed or killed: sbxnope"
    )


def test_connect_only_extends(api: httpx.Client, created: dict[str, Any]) -> None:
    path = f"/sandboxes/{created['sandboxID']}/connect"
    assert api.post(path, json={}).status_code == 400
    assert api.post(path, json={"timeout": 0}).status_code == 400
    shorter = api.post(path, json={"timeout": 1})
    assert shorter.status_code == 200
    assert shorter.json()["endAt"] == created["endAt"]
    longer = api.post(path, json={"timeout": 6000}).json()
    assert lifetime(longer) >= 6000
    assert longer["envdAccessToken"] == created["envdAccessToken"]


def test_pause_and_resume(api: httpx.Client, created: dict[str, Any]) -> None:
    path = f"/sandboxes/{created['sandboxID']}"
    assert api.post(f"{path}/pause").status_code == 204
    assert api.post(f"{path}/pause").status_code == 409
    assert api.post(f"{path}/timeout", json={"timeout": 9}).status_code == 409
    assert api.get(path).json()["state"] == "paused"
    assert api.post(f"{path}/connect", json={"timeout": 30}).status_code == 201
    assert api.get(path).json()["state"] == "running"
    assert api.post(f"{path}/resume", json={"timeout": 30}).status_code == 409
    assert api.post(f"{path}/resume", json={}).status_code == 500


def test_list_filters_and_pages(api: httpx.Client) -> None:
    ids = [
        api.post("/sandboxes", json={"templateID": "base", "metadata": {"n": n}}).json()[
            "sandboxID"
        ]
        for n in ("x", "x", "y")
    ]
    api.post(f"/sandboxes/{ids[0]}/pause")

    def listed(**query: str) -> list[str]:
        return [each["sandboxID"] for each in api.get("/v2/sandboxes", params=query).json()]

    assert listed(metadata="n=x") == ids[:2]
    assert listed(n="y") == ids[2:]
    assert listed(state="paused") == ids[:1]
    assert listed(state="running", metadata="n=x") == ids[1:2]
    first = api.get("/v2/sandboxes", params={"limit": "2"})
    token = first.headers["x-next-token"]
    rest = api.get("/v2/sandboxes", params={"limit": "2", "nextToken": token})
    assert [each["sandboxID"] for each in first.json() + rest.json()] == ids
    assert "x-next-token" not in rest.headers
    assert "envdAccessToken" not in first.json()[0]
    assert api.get("/v2/sandboxes", params={"state": "dead"}).status_code == 400
    assert api.get("/v2/sandboxes", params={"limit": "101"}).status_code == 400
    for sandbox_id in ids:
        api.delete(f"/sandboxes/{sandbox_id}")


def test_the_reaper_ends_what_has_expired(api: httpx.Client, created: dict[str, Any]) -> None:
    path = f"/sandboxes/{created['sandboxID']}"
    assert api.post(f"{path}/timeout", json={"timeout": 1}).status_code == 204
    while api.get(path).status_code != 404:
        time.sleep(0.1)


def test_auto_pause_pauses_instead(api: httpx.Client) -> None:
    body = {"templateID": "base", "timeout": 60, "autoPause": True}
    path = f"/sandboxes/{api.post('/sandboxes', json=body).json()['sandboxID']}"
    api.post(f"{path}/timeout", json={"timeout": 1})
    while api.get(path).json()["state"] != "paused":
        time.sleep(0.1)
    api.delete(path)


def lifetime(sandbox: dict[str, Any]) -> float:
    moments = [
        datetime.strptime(sandbox[name], "%Y-%m-%dT%H:%M:%SZ") for name in ("startedAt", "endAt")
    ]
    return (moments[1] - moments[0]).total_seconds()
