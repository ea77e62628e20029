"""Who answers for sandboxes, by what they say to those who are not allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from kruise_autopatch.cli.doctor import data_plane
from kruise_autopatch.cli.doctor.request import NO_ANSWER, Answer

URL = "http://kruise.test/kruise/SANDBOX/49983"


class Server:
    """Answers for some sandboxes, or not at all."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self._answers = answers
        self.asked: list[str] = []

    def get(self, url: str, *, with_key: bool) -> Answer:
        assert not with_key
        self.asked.append(url)
        sandbox = url.split("/")[4]
        if sandbox not in self._answers:
            raise NO_ANSWER[0]("it ended")
        return self._answers[sandbox]


def codes(server: Server, url: str = URL, listed: Any = ()) -> list[str]:
    client: Any = server
    return [finding.code for finding in data_plane.check(client, url, listed)]


def answer(status: int, body: str) -> Answer:
    return Answer(status, {}, body)


# To who asks for the one that does not exist.
GATEWAY = {"kruise-autopatch-doctor": answer(404, "sandbox not found: kruise-autopatch-doctor")}


def test_an_explicit_url_names_no_sandbox_to_ask_for() -> None:
    server = Server({})
    assert codes(server, "http://elsewhere.test") == []
    assert server.asked == []


def test_who_does_not_answer_is_nobodys_fault_here() -> None:
    assert codes(Server({})) == []


@pytest.mark.parametrize("url", [URL, "https://49983-SANDBOX.kruise.test"])
def test_somebody_else(url: str) -> None:
    class Other(Server):
        def get(self, url: str, *, with_key: bool) -> Answer:
            return answer(200, "welcome")

    assert codes(Other({}), url) == ["sandboxes-by-unknown"]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "gateway-demands-access-token"),
        (403, "gateway-demands-traffic-token"),
        (204, "gateway-demands-no-token"),
    ],
)
def test_what_a_gateway_demands_is_asked_of_a_running_sandbox(status: int, code: str) -> None:
    listed = [
        "no sandbox",
        {"state": "paused", "sandboxID": "asleep"},
        {"state": "running", "sandboxID": "not/an/id"},
        {"state": "running", "sandboxID": "awake"},
    ]
    server = Server({**GATEWAY, "awake": answer(status, "")})
    assert codes(server, listed=listed) == ["sandboxes-by-gateway", code]
    assert server.asked[1:] == [URL.replace("SANDBOX", "awake") + "/health"]


def test_a_gateway_that_falls_silent() -> None:
    listed = [{"state": "running", "sandboxID": "awake"}]
    assert codes(Server(GATEWAY), listed=listed) == ["sandboxes-by-gateway"]
    assert codes(Server(GATEWAY)) == ["sandboxes-by-gateway"]
