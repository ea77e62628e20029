"""What a sandbox's namespaces are furnished with, by root and without, before anything runs there.

Whether they work is for test_isolation.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kruise_autopatch_local.sandbox import isolation, pods
from kruise_autopatch_local.sandbox.isolation import Isolation, IsolationError
from kruise_autopatch_local.sandbox.pods import Pod, PodError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")


def has_attributes(directory: Path, namespace: str) -> bool:
    try:
        os.setxattr(directory, f"{namespace}.overlay.opaque", b"y")  # type: ignore[attr-defined, unused-ignore]
    except OSError:
        return False
    return True


@pytest.mark.parametrize(("root", "namespace"), [(True, "trusted"), (False, "user")])
def test_the_script_is_one_that_a_shell_can_read(
    root: bool, namespace: str, tmp_path: Path
) -> None:
    if not has_attributes(tmp_path, namespace):
        pytest.skip(f"here no file has attributes of {namespace}")
    command = isolation.prepare(Isolation(True, root), str(tmp_path / "one"), str(tmp_path))
    assert command[0] == "unshare"
    assert ("--map-root-user" in command) is not root
    subprocess.run(["sh", "-n", command[-1]], check=True)
    script = Path(command[-1]).read_text()
    assert "pivot_root . tmp/.host" in script
    # Without root, each top-level directory by itself.
    assert ("tmpfs -o mode=755" in script) is not root
    accounts = (tmp_path / "one").rglob("passwd")
    assert any("user:x:" in path.read_text() for path in accounts)


def test_what_is_told_of_it() -> None:
    assert Isolation(True, True).described().startswith("isolated by namespaces: files")
    assert "without root" in Isolation(True, False).described()
    assert "(no reason)" in Isolation(False, False, "no reason").described()


def test_where_there_are_no_namespaces(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(isolation, "_PATH", str(tmp_path))
    missing = "'unshare' of util-linux is missing"
    assert isolation.choose("auto", str(tmp_path)) == Isolation(False, False, missing)
    with pytest.raises(IsolationError, match="not possible here: 'unshare' of util-linux is miss"):
        isolation.choose("namespaces", str(tmp_path))
    assert isolation.choose("none", str(tmp_path)).reason == "--isolation none"


def test_a_sandbox_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if not has_attributes(tmp_path, "trusted"):
        pytest.skip("here no file has attributes of trusted")
    pod = Pod(
        str(tmp_path / "one"), str(tmp_path / "socket."), str(tmp_path), Isolation(True, True)
    )
    monkeypatch.setattr(isolation, "_PATH", str(tmp_path))
    with pytest.raises(PodError, match="cannot make a sandbox: No such file or directory"):
        pod.prepare()
    # What ends without having said that it is ready.
    failing = tmp_path / "unshare"
    failing.write_text("#!/bin/sh\necho of no use >&2\n")
    failing.chmod(0o700)
    with pytest.raises(PodError, match="cannot make a sandbox: of no use"):
        pod.prepare()
    asyncio.run(pod.stop())


def test_a_socket_that_cannot_be_had(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        pods._listen(str(tmp_path / "missing" / "socket"))
