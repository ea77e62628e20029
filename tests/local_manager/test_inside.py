"""What runs inside a sandbox, in this process: envd's refusals, and its accounts."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import struct
from pathlib import Path
from typing import Any

import httpx
import pytest

from kruise_autopatch_local.envd.service import Envd
from kruise_autopatch_local.inside.house import House
from kruise_autopatch_local.inside.processes import CannotStart, Command, Ended, Process
from kruise_autopatch_local.inside.users import UnknownUser, Users
from kruise_autopatch_local.plan import Plan

from .clients import framed, streaming

TOKEN = "a-token"


def plan(home: Path, **others: Any) -> Plan:
    given = {"isolated": False, "accounts": False, **others}
    return Plan(TOKEN, {}, str(home), str(home), **given)


class Inside:
    """envd, asked without a socket between."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.house = House(plan(home))
        self._app: Any = Envd(self.house)

    async def call(self, rpc: str, message: Any, user: str | None = "user") -> tuple[int, Any]:
        headers = {"X-Access-Token": TOKEN, "Content-Type": "application/json"}
        if user is not None:
            headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:".encode()).decode()
        reply = await self.post(rpc, json.dumps(message).encode(), headers)
        return reply.status_code, reply.json()

    async def post(self, rpc: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
        return await self.request("POST", f"/{rpc}", content=body, headers=headers)

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self._app)
        async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
            return await client.request(method, path, **options)

    async def stream(self, rpc: str, *messages: Any) -> list[Any]:
        """The messages of a streamed reply, the last of which says how it ended."""
        reply = await self.post(rpc, b"".join(map(framed, messages)), streaming(TOKEN))
        told, data = [], reply.content
        while data:
            _, length = struct.unpack_from(">BI", data)
            told.append(json.loads(data[5 : 5 + length]))
            data = data[5 + length :]
        return told

    async def start(self, *command: str, terminal: bool = False) -> Process:
        user = self.house.users.find("user")
        return await self.house.processes.start(
            Command(command[0], command[1:]),
            cwd=str(self.home),
            env=self.house.environment(user),
            user=user,
            tag="tagged",
            stdin=True,
            size=(80, 24) if terminal else None,
        )


def said(home: Path, rpc: str, message: Any, **how: Any) -> str:
    """The message of an error, which it has to be."""
    status, reply = asyncio.run(Inside(home).call(rpc, message, **how))
    assert status != 200, reply
    return f"{reply['code']}: {reply['message']}"


FILES, PROCESSES = "filesystem.Filesystem", "process.Process"


@pytest.mark.parametrize(
    ("rpc", "message", "words"),
    [
        ("MakeDir", {"path": "there"}, "already_exists: directory already exists: {}/there"),
        ("MakeDir", {"path": "file"}, "invalid_argument: path already exists but it is not a"),
        ("MakeDir", {"path": "file/below"}, "internal: error getting file info: stat {}/file/bel"),
        ("MakeDir", {"path": "x" * 300}, "internal: error getting file info: stat {}/xxx"),
        ("Move", {"source": "none", "destination": "b"}, "not_found: source file not found: "),
        ("Move", {"source": "there", "destination": "file"}, "internal: error renaming: "),
        ("ListDir", {"path": "none"}, "not_found: path not found: lstat {}/none: no such file"),
        ("ListDir", {"path": "file"}, "invalid_argument: path is not a directory: {}/file"),
        ("ListDir", {"path": "x" * 300}, "internal: error getting path info: lstat {}/xxx"),
        ("Stat", {"path": "none"}, "not_found: "),
        ("CreateWatcher", {"path": "file"}, "invalid_argument: path {}/file not a directory: "),
        ("CreateWatcher", {"path": "none"}, "not_found: "),
    ],
)
def test_what_envd_says_of_files(rpc: str, message: Any, words: str, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "file").write_text("text")
    assert said(tmp_path, f"{FILES}/{rpc}", message).startswith(words.format(tmp_path))


@pytest.mark.parametrize(
    ("rpc", "message", "words"),
    [
        ("SendSignal", {"process": {"pid": 1}, "signal": "SIGNAL_SIGTERM"}, "not_found: process"),
        ("SendSignal", {"process": {"tag": "x"}, "signal": "SIGNAL_SIGKILL"}, "not_found: process"),
        ("SendInput", {"process": {"pid": 1}, "input": {"stdin": "eA=="}}, "not_found: process"),
        ("Update", {"process": {"pid": 1}, "pty": {"size": {"cols": 1}}}, "not_found: process"),
        ("SendInput", {"input": {"stdin": "eA=="}}, "unimplemented: invalid input type"),
    ],
)
def test_what_envd_says_of_processes_that_are_not_there(
    rpc: str, message: Any, words: str, tmp_path: Path
) -> None:
    assert said(tmp_path, f"{PROCESSES}/{rpc}", message).startswith(words)


async def _words(inside: Inside, rpc: str, **message: Any) -> str:
    status, reply = await inside.call(f"{PROCESSES}/{rpc}", {"process": TAGGED, **message})
    return "" if status == 200 else f"{reply['code']}: {reply['message']}"


TAGGED = {"tag": "tagged"}
HELLO = base64.b64encode(b"hello\n").decode()


def test_a_process_with_pipes(tmp_path: Path) -> None:
    async def lived() -> None:
        inside = Inside(tmp_path)
        process = await inside.start("cat")
        _, listed = await inside.call(f"{PROCESSES}/List", {})
        assert listed["processes"][0]["tag"] == "tagged"
        refused = "invalid_argument: the input is neither for stdin nor for a pty"
        assert await _words(inside, "SendInput", input={}) == refused
        assert "tty not assigned" in await _words(inside, "SendInput", input={"pty": HELLO})
        assert "tty not assigned" in await _words(inside, "Update", pty={"size": {"cols": 1}})
        assert await _words(inside, "Update") == ""
        invalid = await _words(inside, "SendSignal", signal=0)
        assert invalid.startswith("unimplemented: invalid signal: ")
        following = asyncio.ensure_future(
            inside.stream(f"{PROCESSES}/Connect", {"process": TAGGED})
        )
        while not process._listeners:
            await asyncio.sleep(0)
        heard = process.listen()
        beginning, data = {"start": {"process": TAGGED}}, {"data": {"input": {"stdin": HELLO}}}
        (answer, end) = await inside.stream(f"{PROCESSES}/StreamInput", beginning, data)
        assert (answer, end) == ({}, {})
        await heard.get()
        process.forget(heard)
        (error,) = await inside.stream(f"{PROCESSES}/StreamInput", data)
        assert error["error"]["message"] == "the first message must be a start event"
        assert await _words(inside, "SendSignal", signal="SIGNAL_SIGTERM") == ""
        started, said, ended, end = await following
        assert started["event"]["start"] == {"pid": process.pid}
        assert said["event"]["data"] == {"stdout": HELLO}
        assert ended["event"]["end"]["status"] == "signal: terminated"
        assert end == {}
        assert "not found" in await _words(inside, "SendSignal", signal="SIGNAL_SIGKILL")

    asyncio.run(lived())


def test_a_process_with_a_terminal(tmp_path: Path) -> None:
    async def lived() -> None:
        inside = Inside(tmp_path)
        process = await inside.start("sh", "-c", "read size; stty size", terminal=True)
        queue = process.listen()
        assert await _words(inside, "Update", pty={"size": {"cols": 100, "rows": 30}}) == ""
        assert "stdin not enabled" in await _words(inside, "SendInput", input={"stdin": HELLO})
        assert await _words(inside, "SendInput", input={"pty": HELLO}) == ""
        said = b""
        # The process may have ended before all that it said has been read.
        while not isinstance(event := await queue.get(), Ended):
            said += getattr(event, "data", b"")
        await process.finished
        assert b"30 100" in said

    asyncio.run(lived())


@pytest.mark.parametrize("command", ["", "no-such-program", "nul\0"])
@pytest.mark.parametrize("terminal", [False, True])
def test_what_cannot_be_started(command: str, terminal: bool, tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="error starting process"):
        asyncio.run(Inside(tmp_path).start(command, terminal=terminal))


@pytest.mark.parametrize(
    ("user", "words"),
    [
        (None, "unauthenticated: no user specified"),
        ("nobody-here", "unauthenticated: invalid username: 'nobody-here'"),
    ],
)
def test_who_may_call(user: str | None, words: str, tmp_path: Path) -> None:
    assert said(tmp_path, f"{FILES}/ListDir", {"path": "."}, user=user) == words


def test_accounts_are_those_of_the_sandbox_where_it_has_its_own(tmp_path: Path) -> None:
    own = Users(plan(tmp_path))
    assert own.find("user").home == own.find("root").home == str(tmp_path)
    with pytest.raises(UnknownUser):
        own.find("daemon")
    isolated = Users(plan(tmp_path, isolated=True, accounts=True))
    assert (isolated.find("root").uid, isolated.find("root").home) == (0, "/root")
    for name in ("nobody-here", "\0"):
        with pytest.raises(UnknownUser):
            isolated.find(name)
    rootless = Users(plan(tmp_path, isolated=True))
    assert rootless.find("root").uid == os.getuid()


@pytest.mark.parametrize("authorization", ["Bearer token", "Basic //8="])
def test_what_names_nobody(authorization: str, tmp_path: Path) -> None:
    headers = {"X-Access-Token": TOKEN, "Authorization": authorization}
    asked = Inside(tmp_path).request(
        "POST", f"/{FILES}/ListDir", json={"path": "."}, headers=headers
    )
    reply = asyncio.run(asked)
    assert (reply.status_code, reply.json()["message"]) == (401, "no user specified")


def test_a_browser_asks_before_it_asks(tmp_path: Path) -> None:
    headers = {"Origin": "https://a.test", "Access-Control-Request-Method": "POST"}
    reply = asyncio.run(Inside(tmp_path).request("OPTIONS", "/files", headers=headers))
    assert (reply.status_code, reply.headers["Access-Control-Allow-Methods"]) == (204, "POST")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk(tmp_path: Path) -> None:
    asked = Inside(tmp_path).request(
        "POST",
        "/files",
        params={"path": "/dev/full", "username": "user"},
        headers={"X-Access-Token": TOKEN},
        files={"file": ("full", b"text")},
    )
    reply = asyncio.run(asked)
    assert reply.status_code == 507


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give a file away")
def test_a_file_of_somebody_without_a_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    os.chown(tmp_path / "file", 54321, 54322)
    status, reply = asyncio.run(Inside(tmp_path).call(f"{FILES}/Stat", {"path": "file"}))
    assert status == 200
    assert (reply["entry"]["owner"], reply["entry"]["group"]) == ("54321", "54322")
