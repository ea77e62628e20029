"""envd's RPCs over the wire: both codecs, unary and streaming, and real processes."""

from __future__ import annotations

import asyncio
import base64
import struct
from typing import Any

import pytest

from kruise_autopatch_local import LocalManager

from .clients import Sandbox, bound, envelopes

STAT = "filesystem.Filesystem/Stat"
START = "process.Process/Start"


def output(messages: list[dict[str, Any]], name: str) -> bytes:
    found = [message.get("event", {}).get("data", {}).get(name, "") for message in messages]
    return b"".join(base64.b64decode(each) for each in found)


def test_unary_json(sandbox: Sandbox) -> None:
    entry = sandbox.rpc(STAT, path="/tmp", a_field_of_a_later_sdk=1).json()["entry"]
    assert entry["path"] == "/tmp"
    assert entry["type"] == "FILE_TYPE_DIRECTORY"
    assert entry["permissions"].startswith("d")


def test_unary_proto(sandbox: Sandbox) -> None:
    headers = {"Content-Type": "application/proto"}
    # Field 1, a string of 4 bytes: StatRequest(path="/tmp").
    response = sandbox.envd("POST", f"/{STAT}", content=b"\x0a\x04/tmp", headers=headers)
    assert response.headers["content-type"] == "application/proto"
    # Field 1 of the reply is the entry, whose field 1 is the name.
    assert response.content[0] == 0x0A
    assert response.content[2:7] == b"\x0a\x03tmp"


def test_unary_errors(sandbox: Sandbox) -> None:
    missing = sandbox.rpc(STAT, path="/nope")
    assert missing.status_code == 404
    assert missing.json()["code"] == "not_found"
    malformed = sandbox.envd(
        "POST", f"/{STAT}", content=b"{", headers={"Content-Type": "application/json"}
    )
    assert (malformed.status_code, malformed.json()["code"]) == (400, "invalid_argument")
    other = sandbox.envd("POST", f"/{STAT}", content=b"", headers={"Content-Type": "text/plain"})
    assert other.status_code == 415
    assert sandbox.envd("GET", f"/{STAT}").status_code == 405
    assert sandbox.envd("POST", "/filesystem.Filesystem/Nope", json={}).status_code == 404


def test_accounts(sandbox: Sandbox) -> None:
    for header, message in (("", "no user specified"), ("Basic eDo=", "invalid username: 'x'")):
        headers = {"Authorization": header}
        refused = sandbox.envd("POST", f"/{STAT}", json={"path": "/"}, headers=headers)
        assert (refused.status_code, refused.json()["message"]) == (401, message)


def test_the_token_is_required(sandbox: Sandbox) -> None:
    response = sandbox.client.post(f"{sandbox.url()}/{STAT}", json={"path": "/"})
    assert response.status_code == 401
    assert response.json()["code"] == 401


def test_a_stream_in_json(sandbox: Sandbox) -> None:
    script = "echo out; echo err >&2; pwd; echo $MINE; exit 3"
    messages = sandbox.stream(
        START,
        process={"cmd": "/bin/sh", "args": ["-c", script], "envs": {"MINE": "x"}, "cwd": "/tmp"},
    )
    assert messages[0]["event"]["start"]["pid"] > 0
    assert output(messages, "stdout") == b"out\n/tmp\nx\n"
    assert output(messages, "stderr") == b"err\n"
    assert messages[-2]["event"]["end"] == {
        "exitCode": 3,
        "exited": True,
        "status": "exit status 3",
        "error": "exit status 3",
    }
    assert messages[-1] == {}


def test_a_stream_in_proto(sandbox: Sandbox) -> None:
    # StartRequest(process=ProcessConfig(cmd="true"))
    message = b"\x0a\x06\x0a\x04true"
    response = sandbox.envd(
        "POST",
        f"/{START}",
        content=struct.pack(">BI", 0, len(message)) + message,
        headers={"Content-Type": "application/connect+proto"},
    )
    frames = list(envelopes(response.content))
    assert [flags for flags, _ in frames] == [0, 0, 2]
    assert frames[-1][1] == b"{}"


def test_a_stream_fails_in_its_last_message(sandbox: Sandbox) -> None:
    nowhere = sandbox.stream(START, process={"cmd": "true", "cwd": "/nope"})
    assert nowhere[-1]["error"] == {
        "code": "invalid_argument",
        "message": "cwd '/nope' does not exist",
    }
    nothing = sandbox.stream(START, process={"cmd": "/no/such/command"})
    assert nothing[-1]["error"]["code"] == "invalid_argument"
    unknown = sandbox.stream("process.Process/Connect", process={"pid": 1})
    assert unknown[-1]["error"]["code"] == "not_found"


def test_the_kernels_python_and_pip_are_on_the_path(sandbox: Sandbox) -> None:
    code = "import sys; sys.prefix"
    prefix = sandbox.run_code(code)[1]["text"]
    assert sandbox.run("python -c 'import sys; print(sys.prefix)'").strip() == prefix
    assert sandbox.run("pip --version").startswith("pip ")


def test_the_sdk_runs_commands(sdk: Any) -> None:
    result = sdk.commands.run("echo $FOO; echo err >&2", envs={"FOO": "foo"})
    assert (result.stdout, result.stderr, result.exit_code) == ("foo\n", "err\n", 0)
    from e2b import CommandExitException, TimeoutException

    with pytest.raises(CommandExitException) as failure:
        sdk.commands.run("exit 7")
    assert failure.value.exit_code == 7
    with pytest.raises(TimeoutException):
        sdk.commands.run("sleep 100", timeout=1)


def test_the_sdk_talks_to_a_command_in_the_background(sdk: Any) -> None:
    from e2b import CommandExitException

    handle = sdk.commands.run("cat", background=True, stdin=True)
    assert [process.pid for process in sdk.commands.list()] == [handle.pid]
    sdk.commands.send_stdin(handle.pid, "line\n")
    for stdout, _stderr, _pty in handle:
        assert stdout == "line\n"
        break
    handle.disconnect()
    connected = sdk.commands.connect(handle.pid)
    assert connected.kill()
    with pytest.raises(CommandExitException):
        connected.wait()
    assert not sdk.commands.kill(handle.pid)


def test_the_sdk_opens_a_terminal(sdk: Any) -> None:
    from e2b.sandbox.commands.command_handle import PtySize

    terminal = sdk.pty.create(PtySize(rows=24, cols=80))
    sdk.pty.resize(terminal.pid, PtySize(rows=33, cols=44))
    sdk.pty.send_stdin(terminal.pid, b"stty size; exit\n")
    seen: list[bytes] = []
    assert terminal.wait(on_pty=seen.append).exit_code == 0
    assert b"33 44" in b"".join(seen)


def test_the_async_sdk(sandbox: Sandbox, manager: LocalManager) -> None:
    e2b = pytest.importorskip("e2b")

    async def use() -> None:
        sdk = bound(e2b.AsyncSandbox, sandbox, manager)
        seen: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        watcher = await sdk.files.watch_dir(
            ".", on_event=lambda event: seen.put_nowait((event.type.value, event.name))
        )
        results = await asyncio.gather(*(sdk.commands.run(f"echo {n}") for n in range(10)))
        assert [result.stdout for result in results] == [f"{n}\n" for n in range(10)]
        await sdk.files.write("a.txt", "a")
        while await seen.get() != ("write", "a.txt"):
            pass
        await watcher.stop()

    asyncio.run(use())
