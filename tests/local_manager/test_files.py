"""envd's files API: reading, writing, signatures, and paths that would leave the sandbox."""

from __future__ import annotations

import base64
import gzip
import hashlib
from typing import Any

import pytest

from .clients import Sandbox


def signature(*parts: str) -> str:
    digest = hashlib.sha256(":".join(parts).encode()).digest()
    return "v1_" + base64.b64encode(digest).rstrip(b"=").decode()


def test_multipart_uploads(sandbox: Sandbox) -> None:
    files = [("file", ("a.txt", b"A")), ("file", ("/tmp/b.txt", b"B"))]
    written = sandbox.envd("POST", "/files", files=files).json()
    assert written == [
        {"name": "a.txt", "type": "file", "path": "/home/user/a.txt"},
        {"name": "b.txt", "type": "file", "path": "/tmp/b.txt"},
    ]
    assert sandbox.envd("GET", "/files", params={"path": "/home/user/a.txt"}).text == "A"
    assert sandbox.envd("GET", "/files", params={"path": "../../tmp/b.txt"}).text == "B"


def test_octet_stream_uploads(sandbox: Sandbox) -> None:
    headers = {"Content-Type": "application/octet-stream", "Content-Encoding": "gzip"}
    response = sandbox.envd(
        "POST",
        "/files",
        params={"path": "new/c.bin", "username": "user"},
        content=gzip.compress(b"\0" * 100_000),
        headers=headers,
    )
    assert response.json()[0]["path"] == "/home/user/new/c.bin"
    assert sandbox.envd("GET", "/files", params={"path": "new/c.bin"}).content == b"\0" * 100_000


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("nope", 404, "path '/home/user/nope' does not exist"),
        ("/home", 400, "path '/home' is a directory"),
        ("/../etc/passwd", 400, "leads out of the sandbox's directory"),
        ("../../../etc/passwd", 400, "leads out of the sandbox's directory"),
        ("link/passwd", 400, "is a symlink out of the sandbox's directory"),
    ],
)
def test_reading_fails_in_envds_words(
    sandbox: Sandbox, path: str, status: int, message: str
) -> None:
    sandbox.stream("process.Process/Start", process={"cmd": "ln", "args": ["-s", "/etc", "link"]})
    response = sandbox.envd("GET", "/files", params={"path": path})
    assert response.status_code == status
    assert response.json()["code"] == status
    assert message in response.json()["message"]


def test_nothing_is_written_outside(sandbox: Sandbox, tmp_path: Any) -> None:
    link = {"cmd": "ln", "args": ["-s", str(tmp_path), "out"]}
    sandbox.stream("process.Process/Start", process=link)
    upload = {"file": ("out/x.txt", b"")}
    assert sandbox.envd("POST", "/files", files=upload).status_code == 400
    assert sandbox.rpc("filesystem.Filesystem/MakeDir", path="out/d").status_code == 400
    assert sandbox.rpc("filesystem.Filesystem/ListDir", path="out").status_code == 400
    # The link itself can be seen and removed.
    entry = sandbox.rpc("filesystem.Filesystem/Stat", path="out").json()["entry"]
    assert entry["symlinkTarget"] == str(tmp_path)
    assert sandbox.rpc("filesystem.Filesystem/Remove", path="out").status_code == 200
    assert tmp_path.is_dir()
    assert not list(tmp_path.iterdir())


def test_a_host_path_below_the_sandbox_is_understood(sandbox: Sandbox) -> None:
    sandbox.envd("POST", "/files", files={"file": ("a.txt", b"A")})
    host_path = sandbox.run_code("import os; os.path.abspath('a.txt')")[1]["text"]
    assert sandbox.envd("GET", "/files", params={"path": host_path}).text == "A"


def test_tokens_and_signatures(sandbox: Sandbox) -> None:
    sandbox.envd("POST", "/files", files={"file": ("a.txt", b"A")})
    good = signature("a.txt", "read", "user", sandbox.token)
    late = signature("a.txt", "read", "user", sandbox.token, "1")
    ahead = signature("a.txt", "read", "user", sandbox.token, "9999999999")
    base = {"path": "a.txt", "username": "user"}
    for query, headers, status in (
        ({}, {}, 401),
        ({}, {"X-Access-Token": "wrong"}, 401),
        ({"signature": good}, {}, 200),
        ({"signature": good, "username": ""}, {}, 401),
        ({"signature": late, "signature_expiration": "1"}, {}, 401),
        ({"signature": ahead, "signature_expiration": "9999999999"}, {}, 200),
    ):
        response = sandbox.client.get(
            f"{sandbox.url()}/files", params={**base, **query}, headers=headers
        )
        assert response.status_code == status, query


def test_the_sdk_reads_and_writes(sdk: Any) -> None:
    assert sdk.files.write("/tmp/hello.txt", "hello").path == "/tmp/hello.txt"
    assert sdk.files.read("/tmp/hello.txt") == "hello"
    assert b"".join(sdk.files.read("/tmp/hello.txt", format="stream")) == b"hello"
    assert sdk.files.exists("/tmp/hello.txt")
    assert not sdk.files.exists("/tmp/nope")
    assert sdk.files.make_dir("d/e")
    assert not sdk.files.make_dir("d/e")
    sdk.files.rename("/tmp/hello.txt", "d/e/f.txt")
    listed = [entry.path for entry in sdk.files.list(".", depth=3)]
    assert listed == ["/home/user/d", "/home/user/d/e", "/home/user/d/e/f.txt"]
    sdk.files.remove("d")
    assert sdk.files.list(".") == []
    from e2b import InvalidArgumentException, NotFoundException

    with pytest.raises(NotFoundException, match="does not exist"):
        sdk.files.read("nope")
    with pytest.raises(InvalidArgumentException, match="leads out of"):
        sdk.files.list("../../..")


def test_the_sdk_watches(sdk: Any) -> None:
    sdk.files.make_dir("d")
    watcher = sdk.files.watch_dir(".", recursive=True)
    sdk.files.write("d/x.txt", "x")
    seen: list[tuple[str, str]] = []
    while len(seen) < 2:
        seen += [(event.type.value, event.name) for event in watcher.get_new_events()]
    assert seen == [("create", "d/x.txt"), ("write", "d/x.txt")]
    watcher.stop()
