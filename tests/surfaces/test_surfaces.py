"""The table of every URL surface, checked over real sockets in every way the SDK can be used.

The program in ``conversation.py`` runs in a fresh interpreter against a local sandbox-manager;
what the SDK handed out and what the server saw are compared with ``tables.py``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import fresh
import pytest
from surfaces.tables import GROUPS, OPTIONAL, REQUESTS, RESULTS, URLS, WATCH, Conversation

from kruise_autopatch.local import LocalManager

PROGRAM = Path(__file__).with_name("conversation.py")

CONVERSATIONS = [
    pytest.param(
        (scheme, way, mode),
        id=f"{scheme}-{way}-{mode}",
        marks=pytest.mark.xdist_group(f"{scheme}-{way}-{mode}"),
    )
    for scheme in ("http", "https")
    for way in ("variable", "argument", "call")
    for mode in ("sync", "async")
]


@pytest.fixture(scope="module", params=CONVERSATIONS)
def conversation(
    request: pytest.FixtureRequest, certificates: dict[str, str]
) -> Iterator[Conversation]:
    scheme, way, mode = request.param
    files = {"certfile": certificates["chain"], "keyfile": certificates["key"]}
    # Its static domain is what older servers answer: nobody must go there.
    with LocalManager(e2b_domain="localhost", **(files if scheme == "https" else {})) as manager:
        variables = {"SSL_CERT_FILE": certificates["authority"]}
        if way in ("variable", "call"):
            variables.update(E2B_DOMAIN=manager.domain, E2B_API_KEY=manager.api_key)
        if way in ("variable", "argument"):
            switch = "1" if scheme == "https" else "0"
            variables.update(KRUISE_E2B_PATCH="1", KRUISE_E2B_HTTPS=switch)
        arguments = [str(PROGRAM), mode, way, scheme, manager.domain, manager.api_key]
        done = fresh.run(arguments, variables)
        assert done.returncode == 0, done.stderr
        outcome = json.loads(done.stdout.splitlines()[-1])
        yield Conversation.of(mode, scheme, manager.domain, outcome, manager.requests())


def test_no_step_raises(conversation: Conversation) -> None:
    assert conversation.errors == {}


@pytest.mark.parametrize("surface", URLS)
def test_the_url_is_of_the_private_protocol(conversation: Conversation, surface: str) -> None:
    if surface not in conversation.urls and surface in OPTIONAL:
        return
    expected = conversation.expected(URLS[surface])
    assert conversation.url_is_right(surface), f"{conversation.urls[surface]} is not {expected}"


def test_the_table_lists_every_url_that_the_program_collects(conversation: Conversation) -> None:
    assert set(URLS) - OPTIONAL <= set(conversation.urls) <= set(URLS)


@pytest.mark.parametrize("operation", REQUESTS)
def test_the_request_arrives_at_the_private_route(
    conversation: Conversation, operation: str
) -> None:
    method, path = REQUESTS[operation]
    _assert_arrived(conversation, method, path)


def test_the_watcher_arrives_at_the_private_route(conversation: Conversation) -> None:
    method, path = WATCH[conversation.mode]
    _assert_arrived(conversation, method, path)


def _assert_arrived(conversation: Conversation, method: str, path: str) -> None:
    seen = conversation.statuses(method, path)
    assert seen, f"no {method} {conversation.expected(path)}"
    # files.exists asks for a file that is gone, too.
    assert min(seen) < 400, seen


def test_every_request_names_the_one_host(conversation: Conversation) -> None:
    assert conversation.addresses() == {(conversation.scheme, conversation.domain)}


def test_no_request_leaves_the_private_prefix(conversation: Conversation) -> None:
    assert conversation.paths_outside_the_prefix() == []


@pytest.mark.parametrize("operation", RESULTS)
def test_the_sdk_gets_its_answer(conversation: Conversation, operation: str) -> None:
    assert conversation.results[operation] == RESULTS[operation]


def test_the_environment_is_unchanged(conversation: Conversation) -> None:
    assert conversation.environment_unchanged


def test_every_surface_has_a_column_in_the_matrix() -> None:
    grouped = [name for names in GROUPS.values() for name in names]
    assert len(grouped) == len(set(grouped))
    assert {*URLS, *REQUESTS, *RESULTS} <= set(grouped)
