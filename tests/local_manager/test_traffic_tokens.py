"""Protected sandboxes: who gets a token, and which tokens open which doors."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest

from kruise_autopatch_local import LocalManager, LocalManagerError
from support.serving import Handler, Server

from .clients import PATIENTLY

HEADER = "e2b-traffic-access-token"
PROTECTED = "security.agents.kruise.io/enable-jwt-auth"


Create = Callable[..., "dict[str, Any]"]


@pytest.fixture
def create(api: httpx.Client) -> Iterator[Create]:
    """Makes sandboxes, protected ones unless the metadata says otherwise."""
    made: list[dict[str, Any]] = []

    def create(**metadata: str) -> dict[str, Any]:
        body = {"templateID": "base", "metadata": metadata or {PROTECTED: "true"}}
        response = api.post("/sandboxes", json=body)
        assert response.status_code == 201
        made.append(response.json())
        return made[-1]

    yield create
    for sandbox in made:
        api.delete(f"/sandboxes/{sandbox['sandboxID']}")


def knock(plain: httpx.Client, sandbox: dict[str, Any], token: str | None) -> httpx.Response:
    headers = {} if token is None else {HEADER: token}
    return plain.get(f"/kruise/{sandbox['sandboxID']}/49983/health", headers=headers)


def renew(api: httpx.Client, sandbox_id: str) -> httpx.Response:
    return api.post(f"/sandboxes/{sandbox_id}/traffic-access-token")


def claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return found


def test_the_reply_to_create_holds_a_jwt_and_its_expiration(
    create: Create, api: httpx.Client
) -> None:
    sandbox = create()
    found = claims(sandbox["trafficAccessToken"])
    assert found["sandbox"]["sandboxId"] == sandbox["sandboxID"]
    text = sandbox["trafficAccessTokenExpiration"]
    assert text.endswith("Z")
    expiration = datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    assert abs(found["exp"] - expiration) < 1
    # About a hundred years.
    assert found["exp"] - found["iat"] == pytest.approx(100 * 365 * 86400)


def test_no_other_reply_holds_one(create: Create, api: httpx.Client) -> None:
    path = f"/sandboxes/{create()['sandboxID']}"
    replies = [
        api.get(path).json(),
        api.post(f"{path}/connect", json={"timeout": 60}).json(),
        *api.get("/v2/sandboxes").json(),
    ]
    for reply in replies:
        assert "trafficAccessToken" not in reply
    # But two of them say that the sandbox is protected.
    assert [reply["metadata"][PROTECTED] for reply in replies[:2]] == ["true"] * 2


@pytest.mark.parametrize("value", ["false", "1", "True", ""])
def test_only_true_protects(
    create: Create, api: httpx.Client, plain: httpx.Client, value: str
) -> None:
    sandbox = create(**{PROTECTED: value})
    assert "trafficAccessToken" not in sandbox
    assert knock(plain, sandbox, None).status_code == 204


def test_its_token_opens_the_door(create: Create, api: httpx.Client, plain: httpx.Client) -> None:
    sandbox = create()
    assert knock(plain, sandbox, sandbox["trafficAccessToken"]).status_code == 204
    renewed = renew(api, sandbox["sandboxID"])
    assert renewed.status_code == 200
    assert set(renewed.json()) == {"trafficAccessToken", "trafficAccessTokenExpiration"}
    token = renewed.json()["trafficAccessToken"]
    assert token != sandbox["trafficAccessToken"]
    for each in (token, sandbox["trafficAccessToken"]):
        assert knock(plain, sandbox, each).status_code == 204


def test_nothing_else_does(create: Create, plain: httpx.Client) -> None:
    sandbox, other = create(), create()
    token = sandbox["trafficAccessToken"]
    header, payload, signature = token.split(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    for wrong in (
        None,
        "",
        "opaque",
        f"Bearer {token}",
        other["trafficAccessToken"],
        f"{header}.{payload}.{'A' * len(signature)}",
        f"{unsigned}.{payload}.",
        f"{header}.{other['trafficAccessToken'].split('.')[1]}.{signature}",
    ):
        response = knock(plain, sandbox, wrong)
        assert response.status_code == 403, wrong
        assert response.headers["content-type"].startswith("text/plain")
        assert token not in response.text


def test_every_port_is_behind_the_door(
    create: Create, api: httpx.Client, plain: httpx.Client
) -> None:
    sandbox = create()
    for port in (49983, 49999, 3000):
        assert plain.get(f"/kruise/{sandbox['sandboxID']}/{port}/").status_code == 403


def test_an_expired_token_opens_nothing() -> None:
    with LocalManager(token_validity=0.001) as manager:
        headers = {"X-API-Key": manager.api_key}
        with httpx.Client(base_url=manager.url, headers=headers, **PATIENTLY) as client:
            body = {"templateID": "base", "metadata": {PROTECTED: "true"}}
            sandbox = client.post("/kruise/api/sandboxes", json=body).json()
            while knock(client, sandbox, sandbox["trafficAccessToken"]).status_code != 403:
                pass
            response = knock(client, sandbox, sandbox["trafficAccessToken"])
            assert response.text == f"expired {HEADER}"


class Headers(Handler):
    """Answers with the names of the headers that it was sent."""

    def do_GET(self) -> None:
        body = json.dumps([name.lower() for name in self.headers]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def port() -> Iterator[int]:
    with Server(Headers, ("0.0.0.0", 0)) as server:
        yield server.server_port


def test_the_sandbox_does_not_see_the_token(
    create: Create, api: httpx.Client, plain: httpx.Client, port: int
) -> None:
    sandbox = create()
    headers = {HEADER: sandbox["trafficAccessToken"], "X-Mine": "1"}
    response = plain.get(f"/kruise/{sandbox['sandboxID']}/{port}/", headers=headers)
    assert "x-mine" in response.json()
    assert HEADER not in response.json()


def test_who_gets_no_token(create: Create, api: httpx.Client, plain: httpx.Client) -> None:
    sandbox_id = create()["sandboxID"]
    path = f"/sandboxes/{sandbox_id}/traffic-access-token"
    assert plain.post(f"/kruise/api{path}").status_code == 401
    assert renew(api, "default--nope").status_code == 404
    assert renew(api, create(some="thing")["sandboxID"]).status_code == 409
    api.post(f"/sandboxes/{sandbox_id}/pause")
    assert renew(api, sandbox_id).status_code == 409


def test_a_test_can_have_the_server_refuse(
    manager: LocalManager, create: Create, api: httpx.Client
) -> None:
    sandbox_id = create()["sandboxID"]
    manager.refuse_tokens(503, retry_after=7)
    response = renew(api, sandbox_id)
    assert (response.status_code, response.headers["retry-after"]) == (503, "7")
    manager.refuse_tokens(400)
    response = renew(api, sandbox_id)
    assert (response.status_code, "retry-after" in response.headers) == (400, False)
    manager.issue_tokens()
    manager.issue_tokens()
    assert renew(api, sandbox_id).status_code == 200


@pytest.mark.parametrize("validity", [0, -1, float("nan"), float("inf")])
def test_a_validity_that_makes_no_sense_is_refused(validity: float) -> None:
    with pytest.raises(LocalManagerError, match="is not a number of seconds above 0"):
        LocalManager(token_validity=validity)
