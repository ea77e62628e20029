"""envd's files API: reading, writing, signatures, and paths that would leave the sandbox."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from .clients import Sandbox


def signature(*parts: str) -> str:
    digest = hashlib.sha256(":".join(parts).encode()).digest()
    return "v1_" + base64.b64encode(digest).rstrip(b"=").decode()


def test_multipart_uploads(sandbox: Sandbox) -> None:
    files = [("file", ("a.txt", b"A")), ("file", ("/tmp/b.txt", b"B"))]
    written = sandbox.envd("POST", "/files", params={"username": "user"}, files=files).json()
    assert written == [
        {"name": "a.txt", "type": "file", "path": "/home/user/a.txt"},
        {"name": "b.txt", "type": "file", "path": "/tmp/b.txt"},
    ]
    assert sandbox.read("/home/user/a.txt").text == "A"
    assert sandbox.read("../../tmp/b.txt").text == "B"


def test_only_the_first_file_goes_to_a_path(sandbox: Sandbox) -> None:
    files = [("file", ("x", b"1")), ("file", ("y", b"2"))]
    query = {"path": "one", "username": "user"}
    response = sandbox.envd("POST", "/files", params=query, files=files)
    assert response.status_code == 400
    assert "only the first specified file was uploaded" in response.json()["message"]
    assert sandbox.read("one").text == "1"


def test_envd_takes_forms_only(sandbox: Sandbox) -> None:
    query = {"path": "raw", "username": "user"}
    for kind in ("application/octet-stream", "application/json", "text/plain"):
        headers = {"Content-Type": kind}
        response = sandbox.envd("POST", "/files", params=query, content=b"{}", headers=headers)
        assert response.status_code == 500
        assert "isn't multipart/form-data" in response.json()["message"]


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("nope", 404, "path '/home/user/nope' does not exist"),
        ("/home", 400, "path '/home' is a directory"),
        ("/etc/passwd/x", 500, "stat /etc/passwd/x: not a directory"),
        ("a\0b", 500, "invalid argument"),
    ],
)
def test_reading_fails_in_envds_words(
    sandbox: Sandbox, path: str, status: int, message: str
) -> None:
    response = sandbox.read(path)
    assert response.status_code == status
    assert response.json()["code"] == status
    assert message in response.json()["message"]


def test_writing_fails_in_envds_words(sandbox: Sandbox) -> None:
    sandbox.write("file", b"")
    assert sandbox.write("/home/user", b"").status_code == 400
    below = sandbox.write("file/x", b"")
    assert below.status_code == 500
    assert "error ensuring directories: path is a file: " in below.json()["message"]


def test_accounts(sandbox: Sandbox) -> None:
    for query, status in (
        ({"path": "/etc/passwd"}, 400),
        ({"path": "/etc/passwd", "username": "nobodyhere"}, 401),
        ({"path": "/etc/passwd", "username": "user"}, 200),
    ):
        assert sandbox.envd("GET", "/files", params=query).status_code == status


def test_ranges_and_conditions(sandbox: Sandbox) -> None:
    sandbox.write("r.txt", b"hello")
    part = sandbox.read("r.txt", headers={"Range": "bytes=1-2"})
    assert (part.status_code, part.text) == (206, "el")
    assert part.headers["content-range"] == "bytes 1-2/5"
    assert sandbox.read("r.txt", headers={"Range": "bytes=-2"}).text == "lo"
    assert sandbox.read("r.txt", headers={"Range": "bytes=9-"}).status_code == 416
    since = {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}
    assert sandbox.read("r.txt", headers=since).status_code == 304
    assert sandbox.envd("HEAD", "/files").headers["allow"] == "GET"


def test_commands_code_and_the_files_api_see_the_same_files(sandbox: Sandbox) -> None:
    home = sandbox.run("cd; pwd").strip()
    sandbox.write("from-api", b"1")
    assert sandbox.run(f"cat {home}/from-api") == "1"
    assert sandbox.run_code(f"open('{home}/from-api').read()")[1]["text"] == "1"
    sandbox.run(f"echo 2 > {home}/from-command")
    assert sandbox.read(f"{home}/from-command").text == "2\n"
    sandbox.run_code(f"open('{home}/from-code', 'w').write('3')")
    assert sandbox.read("from-code").text == "3"


def test_tokens_and_signatures(sandbox: Sandbox) -> None:
    sandbox.write("a.txt", b"A")
    good = signature("a.txt", "read", "user", sandbox.token)
    late = signature("a.txt", "read", "user", sandbox.token, "1")
    ahead = signature("a.txt", "read", "user", sandbox.token, "9999999999")
    base = {"path": "a.txt", "username": "user"}
    for query, headers, status in (
        ({}, {}, 401),
        ({}, {"X-Access-Token": "wrong"}, 401),
        ({"signature": good}, {}, 200),
        ({"signature": good, "username": "root"}, {}, 401),
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
    assert [path for path in listed if "/." not in path] == [
        "/home/user/d",
        "/home/user/d/e",
        "/home/user/d/e/f.txt",
    ]
    sdk.files.remove("d")
    assert not sdk.files.exists("d")
    from e2b import NotFoundException

    with pytest.raises(NotFoundException, match="does not exist"):
        sdk.files.read("nope")


def test_the_sdk_watches(sdk: Any) -> None:
    sdk.files.make_dir("d")
    watcher = sdk.files.watch_dir(".", recursive=True)
    sdk.files.write("d/x.txt", "x")
    # What was written just before is seen at once.
    seen = [(event.type.value, event.name) for event in watcher.get_new_events()]
    assert seen == [("create", "d/x.txt"), ("chmod", "d/x.txt"), ("write", "d/x.txt")]
    sdk.files.rename("d/x.txt", "d/y.txt")
    sdk.files.remove("d/y.txt")
    seen = [(event.type.value, event.name) for event in watcher.get_new_events()]
    assert seen == [("rename", "d/x.txt"), ("create", "d/y.txt"), ("remove", "d/y.txt")]
    watcher.stop()
