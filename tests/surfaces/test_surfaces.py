"""The table of every URL surface, checked over real sockets in every way the SDK can be used.

The program in ``conversation.py`` runs in a fresh interpreter against a local sandbox-manager;
what the SDK handed out and what the server saw are compared with ``tables.py``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kruise_autopatch_local import LocalManager
from support import forked, loopback_tls, native
from support.checkout import TESTS
from surfaces.tables import ANSWERS, GROUPS, REQUESTS, RESULTS, SINCE, SYNC_ONLY, URLS, Conversation

PROGRAM = Path(__file__).with_name("conversation.py")

_PRIVATE = [(s, way) for s in ("http", "https") for way in ("variable", "argument", "call")]

CONVERSATIONS = [
    pytest.param(
        (scheme, way, mode),
        id=f"{scheme}-{way}-{mode}",
        marks=pytest.mark.xdist_group(f"{scheme}-{way}-{mode}"),
    )
    for scheme, way in (*_PRIVATE, ("https", "native"))
    for mode in ("sync", "async")
]


@pytest.fixture(scope="module", params=CONVERSATIONS)
def conversation(
    request: pytest.FixtureRequest, certificates: dict[str, str]
) -> Iterator[Conversation]:
    scheme, way, mode = request.param
    if way == "native":
        yield _converse_natively(mode)
        return
    # Its static domain is what older servers answer: nobody must go there.
    with LocalManager(
        templates=["mcp-gateway"],
        e2b_domain="localhost",
        **(loopback_tls.https(certificates) if scheme == "https" else {}),
    ) as manager:
        variables = {"SSL_CERT_FILE": certificates["authority"], "PYTHONPATH": str(TESTS)}
        if way in ("variable", "call"):
            variables.update(E2B_DOMAIN=manager.domain, E2B_API_KEY=manager.api_key)
        if way in ("variable", "argument"):
            switch = "1" if scheme == "https" else "0"
            variables.update(KRUISE_E2B_PATCH="1", KRUISE_E2B_HTTPS=switch)
        arguments = [str(PROGRAM), mode, way, scheme, manager.domain, manager.api_key]
        done = forked.run(arguments, variables)
        assert done.returncode == 0, done.stderr
        outcome = json.loads(done.stdout.splitlines()[-1])
        yield Conversation.of(mode, scheme, manager.domain, outcome, manager.requests())


def _converse_natively(mode: str) -> Conversation:
    """The same by native URLs, which are compared with the tables in their private form."""
    with native.serving(templates=["mcp-gateway"]) as server:
        variables = {**server.variables, "PYTHONPATH": str(TESTS)}
        variables.update(KRUISE_E2B_PATCH="1", KRUISE_E2B_PROTOCOL="native")
        arguments = [str(PROGRAM), mode, "native", "https", server.domain, server.manager.api_key]
        done = forked.run(arguments, variables)
        assert done.returncode == 0, done.stderr
        outcome = json.loads(done.stdout.splitlines()[-1])
        outcome["urls"] = {name: server.private_form(u) for name, u in outcome["urls"].items()}
        requests = server.requests()
        return Conversation.of(mode, "https", server.domain, outcome, requests, native=True)


def test_no_step_raises(conversation: Conversation) -> None:
    assert conversation.errors == {}


@pytest.mark.parametrize("surface", URLS)
def test_the_url_is_of_the_private_protocol(conversation: Conversation, surface: str) -> None:
    assert conversation.problems(surface) == []


@pytest.mark.parametrize("operation", [*REQUESTS, "files.watch_dir"])
def test_the_request_arrives_at_the_private_route(
    conversation: Conversation, operation: str
) -> None:
    assert conversation.route_problems(operation) == []


@pytest.mark.parametrize("operation", RESULTS)
def test_the_sdk_gets_its_answer(conversation: Conversation, operation: str) -> None:
    assert conversation.problems(operation) == []


@pytest.mark.parametrize("operation", ANSWERS)
def test_what_is_not_served_is_asked_of_the_server_and_is_an_error(
    conversation: Conversation, operation: str
) -> None:
    assert conversation.problems(operation) == []


def test_every_request_names_the_one_host(conversation: Conversation) -> None:
    assert conversation.misdirected() == []


def test_no_request_leaves_the_private_prefix(conversation: Conversation) -> None:
    assert conversation.paths_outside_the_prefix() == []


def test_the_environment_is_unchanged(conversation: Conversation) -> None:
    assert conversation.environment_unchanged


def test_the_tables_know_every_step(conversation: Conversation) -> None:
    assert set(conversation.urls) <= set(URLS)
    assert set(conversation.results) <= set(RESULTS)
    assert set(conversation.answers) <= set(ANSWERS)
    assert set(conversation.absent) <= set(SINCE) | SYNC_ONLY


def test_every_surface_has_a_column_in_the_matrix() -> None:
    grouped = [name for names in GROUPS.values() for name in names]
    assert len(grouped) == len(set(grouped))
    assert {*URLS, *REQUESTS, *RESULTS, *ANSWERS, *SINCE} <= set(grouped)
