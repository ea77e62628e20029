"""The API: statuses, fields and messages of openkruise/agents, pkg/servers/e2b."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Any
from unittest.mock import ANY

import httpx
import pytest

from kruise_autopatch import encode_api_key
from kruise_autopatch_local import LocalManager

from .clients import PATIENTLY


def test_create_replies_the_servers_fields(api: httpx.Client, manager: LocalManager) -> None:
    body = {"templateID": "my-template", "timeout": 60, "metadata": {"a": "b"}, "secure": False}
    response = api.post("/sandboxes", json=body)
    sandbox = response.json()
    assert response.status_code == 201
    assert re.fullmatch("default--my-template-[a-z2-9]{13}", sandbox["sandboxID"])
    assert sandbox["envdVersion"] == "0.2.10"
    assert sandbox["envdAccessToken"]
    assert sandbox["domain"] == manager.domain
    assert sandbox["clientID"] == ""
    assert sandbox["state"] == "running"
    assert sandbox["metadata"] == {
        "a": "b",
        "sandbox.agents.kruise.io/hash-immutable-part": ANY,
        "e2b.agents.kruise.io/sandbox-resource": sandbox["sandboxID"].replace("--", "/"),
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
        ({"templateID": "base", "metadata": {"agents.kruise.io/x": ""}}, 400, "Forbidden"),
        ({"templateID": "base", "metadata": {"label:a b": ""}}, 400, "invalid label name [a b]"),
        ({"templateID": "base", "network": {"allowOut": ["!"]}}, 400, "invalid allowOut entry"),
        ({"templateID": "base", "network": {"denyOut": ["a.b"]}}, 400, "domains are not supported"),
        ({"templateID": "base", "volumeMounts": [{"name": "v"}]}, 400, '"v" not found'),
        ({"templateID": "base", "network": "x"}, 500, "models.SandboxNetworkConfig"),
        ({"templateID": "base", "timeout": "soon"}, 500, "timeout"),
    ],
)
def test_create_refuses(api: httpx.Client, body: Any, status: int, message: str) -> None:
    response = api.post("/sandboxes", json=body)
    assert response.status_code == status
    assert response.json().keys() == {"code", "headers", "message", "request_id"}
    # A code that the server leaves unset is 0.
    assert response.json()["code"] == (0 if status == 500 else status)
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
    host = {} if prefix else {"Host": "api.localhost"}
    response = plain.post(prefix + path, json={}, headers=host)
    assert response.status_code == 405
    assert response.headers["content-type"].startswith("text/plain")
    assert response.headers["allow"] == "GET, HEAD"
    assert response.text == "Method Not Allowed\n"


def test_both_forms_of_the_key_are_accepted_and_no_other(
    manager: LocalManager, plain: httpx.Client
) -> None:
    keys = (
        (manager.api_key, 200),
        (encode_api_key(manager.api_key), 200),
        ("other", 401),
        ("", 401),
    )
    for key, status in keys:
        response = plain.get("/kruise/api/v2/sandboxes", headers={"X-API-KEY": key})
        assert response.status_code == status
    assert response.json()["message"] == "Invalid API Key"


def test_native_and_private_paths(
    manager: LocalManager, plain: httpx.Client, created: dict[str, Any]
) -> None:
    path = f"/sandboxes/{created['sandboxID']}"
    headers = {"X-API-Key": manager.api_key, "Host": "api.localhost"}
    assert plain.get(path, headers=headers).json()["sandboxID"] == created["sandboxID"]
    assert plain.get("/health", headers=headers).text == "OK"
    # By an address, a native path leads nowhere.
    assert plain.get("/health").status_code == 500
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
    response = api.request(method, f"/sandboxes/default--nope{suffix}")
    assert response.status_code == 404
    assert response.json()["message"] == (
        "Sandbox route not found, maybe it is crashed or killed: default--nope"
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
    assert api.post(f"{path}/pause").status_code == 204
    assert api.post(f"{path}/timeout", json={"timeout": 9}).status_code == 500
    paused = api.get(path).json()
    assert paused["state"] == "paused"
    assert lifetime(paused) > 90 * 365 * 86400
    assert api.post(f"{path}/connect", json={"timeout": 30}).status_code == 201
    assert api.get(path).json()["state"] == "running"
    assert api.post(f"{path}/resume", json={"timeout": 30}).status_code == 204
    assert api.post(f"{path}/resume", json={}).status_code == 500


def test_labels_and_options_in_metadata(api: httpx.Client) -> None:
    prefix = "e2b.agents.kruise.io/"
    metadata = {
        "label:app": "x",
        f"{prefix}never-timeout": "true",
        f"{prefix}return-sandbox-ip": "true",
        f"{prefix}sandbox-name": "mine",
    }
    body = {"templateID": "base", "metadata": metadata}
    sandbox = api.post("/sandboxes", json=body).json()
    assert sandbox["sandboxID"] == "default--mine"
    assert sandbox["endAt"] == "0001-01-01T00:00:00Z"
    assert sandbox["metadata"]["app"] == "x"
    assert sandbox["metadata"][f"{prefix}sandbox-ip"] == "127.0.0.1"
    # A label is shown, but is not found by.
    assert api.get("/v2/sandboxes", params={"app": "x"}).json() == []
    assert api.post("/sandboxes", json=body).status_code == 409
    assert api.delete("/sandboxes/default--mine").status_code == 204


def test_network_rules_are_shown_as_blocks(api: httpx.Client, created: dict[str, Any]) -> None:
    path = f"/sandboxes/{created['sandboxID']}"
    assert "network" not in api.get(path).json()
    rules = {"allowOut": ["8.8.8.8", "example.com"], "denyOut": ["0.0.0.0/0"]}
    assert api.put(f"{path}/network", json=rules).status_code == 204
    assert api.get(path).json()["network"]["allowOut"] == ["8.8.8.8/32", "example.com"]
    assert api.put(f"{path}/network", content="{").status_code == 400
    assert api.put(f"{path}/network", json={}).status_code == 204
    assert "network" not in api.get(path).json()


def test_api_keys_can_be_made_and_removed(api: httpx.Client, plain: httpx.Client) -> None:
    assert api.post("/api-keys", json={}).status_code == 400
    made = api.post("/api-keys", json={"name": "second"}).json()
    headers = {"X-API-Key": made["key"]}
    assert plain.get("/kruise/api/v2/sandboxes", headers=headers).status_code == 200
    assert [key["name"] for key in api.get("/api-keys").json()][-1] == "second"
    assert api.delete(f"/api-keys/{made['id']}").status_code == 204
    assert api.delete(f"/api-keys/{made['id']}").status_code == 404
    assert plain.get("/kruise/api/v2/sandboxes", headers=headers).status_code == 401


def test_newer_servers_know_more() -> None:
    with (
        LocalManager(newer=True) as manager,
        httpx.Client(
            base_url=f"{manager.url}/kruise/api",
            headers={"X-API-Key": manager.api_key},
            **PATIENTLY,
        ) as api,
    ):
        assert api.get("/health").text == "OK"
        sandbox = api.post("/sandboxes", json={"templateID": "base"}).json()
        path = f"/sandboxes/{sandbox['sandboxID']}"
        assert api.post(f"{path}/refreshes", json={"duration": 600}).status_code == 204
        assert lifetime(api.get(path).json()) >= 600
        assert api.post(f"{path}/refreshes", json={"duration": 3601}).status_code == 400
        forks = api.post(f"{path}/fork", json={"count": 2})
        assert forks.status_code == 201
        assert len({fork["sandbox"]["sandboxID"] for fork in forks.json()}) == 2
        assert api.post(f"{path}/fork", json={"unknown": 1}).status_code == 400


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
