"""The real SDK, a protected sandbox, real sockets: the token is where it belongs, nowhere else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kruise_autopatch_local import LocalManager
from support import forked, native

PROGRAM = Path(__file__).with_name("every_request.py")
HEADER = "e2b-traffic-access-token"
ACCESS_TOKEN = "x-access-token"

RESULTS = {
    "health": True,
    "read": "hello",
    "stream": "hello",
    "list": ["a.txt"],
    "run": "out\n",
    "processes": [],
    "connect": True,
    "kill": True,
    "run_code": "42",
    "context": "2",
}

# What the server must have seen of the protected sandbox, below /kruise/<id>/.
REQUESTS = [
    "GET 49983/health",
    "POST 49983/files",
    "GET 49983/files",
    "POST 49983/filesystem.Filesystem/ListDir",
    "POST 49983/process.Process/Start",
    "POST 49983/process.Process/List",
    "POST 49983/process.Process/Connect",
    "POST 49983/process.Process/SendSignal",
    "POST 49983/process.Process/SendInput",
    "POST 49983/process.Process/Update",
    "POST 49999/execute",
    "POST 49999/contexts",
]
# And of both sandboxes, to their Jupyter servers; DELETE is of a context.
JUPYTER = {
    "POST 49999/execute",
    "POST 49999/contexts",
    "GET 49999/contexts",
    "POST 49999/contexts/restart",
    "DELETE 49999/contexts",
}
WATCHING = {
    "sync": "POST 49983/filesystem.Filesystem/CreateWatcher",
    "async": "POST 49983/filesystem.Filesystem/WatchDir",
}


@dataclass(frozen=True)
class Conversation:
    """One run of the program, and what the server saw of it."""

    mode: str
    outcome: dict[str, Any]
    output: str
    requests: list[dict[str, Any]]

    def to(self, sandbox: str, header: str = HEADER) -> dict[str, list[bool]]:
        """The requests to a sandbox, and whether each brought a token."""
        prefix = f"/kruise/{self.outcome[sandbox]}/"
        found: dict[str, list[bool]] = {}
        for request in self.requests:
            if request["path"].startswith(prefix):
                name = f"{request['method']} {request['path'][len(prefix) :]}"
                found.setdefault(name, []).append(header in request["headers"])
        return found

    @property
    def control_plane(self) -> list[dict[str, Any]]:
        return [each for each in self.requests if each["path"].startswith("/kruise/api/")]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            (mode, protocol),
            id=f"{mode}-{protocol}",
            marks=pytest.mark.xdist_group(f"tokens-{mode}-{protocol}"),
        )
        for mode in ("sync", "async")
        for protocol in ("private", "native")
    ],
)
def conversation(request: pytest.FixtureRequest) -> Conversation:
    mode, protocol = request.param
    if protocol == "native":
        with native.serving() as server:
            variables = {"KRUISE_E2B_PATCH": "1", "KRUISE_E2B_PROTOCOL": "native"}
            proxy = server.variables["KRUISE_TEST_PROXY"]
            done = forked.run([str(PROGRAM), mode, proxy], {**server.variables, **variables})
            requests = server.requests()
    else:
        with LocalManager() as manager:
            done = forked.run([str(PROGRAM), mode], manager.environment())
            requests = manager.requests()
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout.splitlines()[-1])
    return Conversation(mode, outcome, done.stderr, requests)


def test_the_sdk_gets_its_answers(conversation: Conversation) -> None:
    assert conversation.outcome["results"] == RESULTS


def test_the_server_refuses_nothing(conversation: Conversation) -> None:
    # No status: the client had left before there was one.
    assert [r for r in conversation.requests if (r["status"] or 499) in range(400, 499)] == []


def test_every_kind_of_request_arrives(conversation: Conversation) -> None:
    assert {*REQUESTS, WATCHING[conversation.mode]} <= set(conversation.to("protected"))


def test_every_request_brings_the_token(conversation: Conversation) -> None:
    without = [name for name, set_ in conversation.to("protected").items() if not all(set_)]
    assert without == []


@pytest.mark.parametrize("sandbox", ["protected", "plain"])
def test_every_request_to_jupyter_brings_the_sandboxes_own_token(
    conversation: Conversation, sandbox: str
) -> None:
    # The SDK leaves it out of some, which a gateway with authentication answers with 401.
    seen = conversation.to(sandbox, ACCESS_TOKEN)
    # What follows /contexts is the context's id.
    jupyter = {
        "/".join(name.split("/")[:2] + name.split("/")[3:]): brought
        for name, brought in seen.items()
        if " 49999/" in name
    }
    assert set(jupyter) >= JUPYTER
    assert [name for name, brought in jupyter.items() if not all(brought)] == []


def test_no_request_to_the_control_plane_brings_it(conversation: Conversation) -> None:
    assert len(conversation.control_plane) >= 7
    for header in (HEADER, ACCESS_TOKEN):
        assert [r["path"] for r in conversation.control_plane if header in r["headers"]] == []


def test_a_sandbox_that_needs_none_gets_none_and_costs_no_request(
    conversation: Conversation,
) -> None:
    seen = conversation.to("plain")
    assert seen
    assert not any(any(set_) for set_ in seen.values())
    assert conversation.outcome["token of the plain"] is None
    assert conversation.outcome["run on the plain"] == "on\n"


def test_one_that_was_connected_to_asks_for_its_token_once_and_late(
    conversation: Conversation,
) -> None:
    asked = [r for r in conversation.control_plane if r["path"].endswith("/traffic-access-token")]
    sandbox_id = conversation.outcome["protected"]
    assert [(r["method"], r["path"], r["status"]) for r in asked] == [
        ("POST", f"/kruise/api/sandboxes/{sandbox_id}/traffic-access-token", 200)
    ]
    assert conversation.outcome["before the first request"] is None
    assert conversation.outcome["run on the connected"] == "on\n"
    assert conversation.outcome["own"] is True


def test_no_log_and_no_repr_shows_a_token(conversation: Conversation) -> None:
    tokens = conversation.outcome["tokens"]
    assert len(tokens) == 2
    # There are logs, of requests too.
    assert "DEBUG:" in conversation.output
    for token in tokens:
        signature = token.rpartition(".")[2]
        assert signature not in conversation.output
        assert signature not in json.dumps(conversation.outcome["shown"])
