"""The table of every URL surface, checked over real sockets in every way the SDK can be used.

The program in ``conversation.py`` runs in a fresh interpreter against a local sandbox-manager;
what the SDK handed out and what the server saw are compared with the tables below.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fresh
import pytest

from kruise_autopatch.local import LocalManager

PROGRAM = Path(__file__).with_name("conversation.py")

API = "{scheme}://{domain}/kruise/api"
ENVD = "{scheme}://{domain}/kruise/{id}/49983"
STREAM = "{scheme}://{domain}/kruise/{id}/6080/vnc.html"
WEBSOCKET = "path=../../../kruise/{id}/6080/websockify"

# What the SDK hands out. A "*" at the end stands for any rest, such as a signature.
URLS = {
    "api_url": API,
    "volume api_url": API,
    "sandbox_domain": "{domain}",
    "get_host": "{domain}/kruise/{id}/3000",
    "envd_api_url": ENVD,
    "envd_direct_url": ENVD,
    "get_sandbox_url": ENVD,
    "get_sandbox_direct_url": ENVD,
    "get_sandbox_url(port)": "{scheme}://{domain}/kruise/{id}/8080",
    "get_sandbox_direct_url(port)": "{scheme}://{domain}/kruise/{id}/8080",
    "download_url": ENVD + "/files?path=%2Ftmp%2Fa%20b.txt&username=user&signature=*",
    "expiring download_url": ENVD + "/files?path=%2Ftmp%2Fa%20b.txt&username=user&signature=*",
    "upload_url": ENVD + "/files?path=%2Ftmp%2Fuploaded.txt&username=user&signature=*",
    "get_mcp_url": "{scheme}://{domain}/kruise/{id}/50005/mcp",
    "jupyter_url": "{scheme}://{domain}/kruise/{id}/49999",
    "desktop stream": STREAM + "?autoconnect=true&resize=scale&" + WEBSOCKET,
    "desktop stream, plain": STREAM + "?" + WEBSOCKET,
}

# Surfaces that some SDK release or client lacks.
OPTIONAL = {
    "volume api_url",
    "envd_direct_url",
    "get_sandbox_direct_url",
    "get_sandbox_url(port)",
    "get_sandbox_direct_url(port)",
    "desktop stream",
    "desktop stream, plain",
}

# What the server must have seen.
REQUESTS = {
    "create": ("POST", "/kruise/api/sandboxes"),
    "connect": ("POST", "/kruise/api/sandboxes/{id}/connect"),
    "list": ("GET", "/kruise/api/v2/sandboxes"),
    "get_info": ("GET", "/kruise/api/sandboxes/{id}"),
    "set_timeout": ("POST", "/kruise/api/sandboxes/{id}/timeout"),
    "kill": ("DELETE", "/kruise/api/sandboxes/{id}"),
    "is_running": ("GET", "/kruise/{id}/49983/health"),
    "files.write": ("POST", "/kruise/{id}/49983/files"),
    "files.read": ("GET", "/kruise/{id}/49983/files"),
    "files.list": ("POST", "/kruise/{id}/49983/filesystem.Filesystem/ListDir"),
    "files.exists": ("POST", "/kruise/{id}/49983/filesystem.Filesystem/Stat"),
    "files.make_dir": ("POST", "/kruise/{id}/49983/filesystem.Filesystem/MakeDir"),
    "files.rename": ("POST", "/kruise/{id}/49983/filesystem.Filesystem/Move"),
    "files.remove": ("POST", "/kruise/{id}/49983/filesystem.Filesystem/Remove"),
    "commands.run": ("POST", "/kruise/{id}/49983/process.Process/Start"),
    "commands.list": ("POST", "/kruise/{id}/49983/process.Process/List"),
    "commands.connect": ("POST", "/kruise/{id}/49983/process.Process/Connect"),
    "commands.send_stdin": ("POST", "/kruise/{id}/49983/process.Process/SendInput"),
    "commands.kill": ("POST", "/kruise/{id}/49983/process.Process/SendSignal"),
    "run_code": ("POST", "/kruise/{id}/49999/execute"),
    "create_code_context": ("POST", "/kruise/{id}/49999/contexts"),
}

# The watcher's route differs between the sync and the async client.
WATCH = {
    "sync": ("POST", "/kruise/{id}/49983/filesystem.Filesystem/CreateWatcher"),
    "async": ("POST", "/kruise/{id}/49983/filesystem.Filesystem/WatchDir"),
}

RESULTS = {
    "files.read": "hello",
    "files.exists": True,
    "files.make_dir": True,
    "files.rename": "/tmp/d/c.txt",
    "files.list": ["c.txt"],
    "files.remove": True,
    "commands.run": "out\n",
    "commands.run failing": 3,
    "commands.list": True,
    "commands.send_stdin": "got input\n",
    "commands.connect": True,
    "commands.kill": True,
    "run_code": "45",
    "run_code failing": "ZeroDivisionError",
    "run_code in a context": "21",
    "is_running": True,
    "list": True,
    "get_info": True,
    "connect": True,
    "run on the connected": "connected\n",
    "kill": True,
}


@dataclass(frozen=True)
class Conversation:
    """One run of the program, and what the server saw of it."""

    mode: str
    scheme: str
    domain: str
    id: str
    urls: dict[str, str]
    results: dict[str, Any]
    requests: list[dict[str, Any]]
    environment_unchanged: bool

    def expected(self, template: str) -> str:
        return template.format(scheme=self.scheme, domain=self.domain, id=self.id)


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
        yield Conversation(
            mode,
            scheme,
            manager.domain,
            outcome["id"],
            outcome["urls"],
            outcome["results"],
            manager.requests(),
            outcome["environment unchanged"],
        )


@pytest.mark.parametrize("surface", URLS)
def test_the_url_is_of_the_private_protocol(conversation: Conversation, surface: str) -> None:
    if surface not in conversation.urls and surface in OPTIONAL:
        return
    expected = conversation.expected(URLS[surface])
    found = conversation.urls[surface]
    if expected.endswith("*"):
        assert found.startswith(expected[:-1])
        assert len(found) > len(expected)
    else:
        assert found == expected


def test_the_table_lists_every_url_that_the_program_collects(conversation: Conversation) -> None:
    assert set(URLS) - OPTIONAL <= set(conversation.urls) <= set(URLS)


@pytest.mark.parametrize("operation", REQUESTS)
def test_the_request_arrives_at_the_private_route(
    conversation: Conversation, operation: str
) -> None:
    method, path = REQUESTS[operation]
    _assert_arrived(conversation, method, conversation.expected(path))


def test_the_watcher_arrives_at_the_private_route(conversation: Conversation) -> None:
    method, path = WATCH[conversation.mode]
    _assert_arrived(conversation, method, conversation.expected(path))


def _assert_arrived(conversation: Conversation, method: str, path: str) -> None:
    seen = [
        # No status: the client had left before there was one.
        request["status"] or 499
        for request in conversation.requests
        if (request["method"], request["path"]) == (method, path)
    ]
    assert seen, f"no {method} {path}"
    # files.exists asks for a file that is gone, too.
    assert min(seen) < 400, seen


def test_every_request_names_the_one_host(conversation: Conversation) -> None:
    seen = {(request["scheme"], request["host"]) for request in conversation.requests}
    assert seen == {(conversation.scheme, conversation.domain)}


def test_no_request_leaves_the_private_prefix(conversation: Conversation) -> None:
    assert [r["path"] for r in conversation.requests if not r["path"].startswith("/kruise/")] == []


@pytest.mark.parametrize("operation", RESULTS)
def test_the_sdk_gets_its_answer(conversation: Conversation, operation: str) -> None:
    assert conversation.results[operation] == RESULTS[operation]


def test_the_environment_is_unchanged(conversation: Conversation) -> None:
    assert conversation.environment_unchanged
