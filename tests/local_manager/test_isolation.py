"""What namespaces keep apart, what happens without them, and what a pause keeps."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from frameworks import offline
from frameworks.programs.steps import GREETING, MODULE
from kruise_autopatch_local import LocalManager, LocalManagerError

from .clients import PATIENTLY, Sandbox


@pytest.fixture(scope="module")
def isolated() -> Iterator[LocalManager]:
    try:
        manager = LocalManager(isolation="namespaces")
    except LocalManagerError as error:
        pytest.skip(str(error))
    with manager:
        yield manager


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(**PATIENTLY) as client:
        yield client


def make(manager: LocalManager, client: httpx.Client) -> Sandbox:
    headers = {"X-API-Key": manager.api_key}
    body = {"templateID": "base", "envVars": {"MINE": "kept"}}
    url = f"{manager.url}/kruise/api/sandboxes"
    return Sandbox(manager, client.post(url, json=body, headers=headers).json(), client)


def call(manager: LocalManager, sandbox: Sandbox, action: str) -> httpx.Response:
    return sandbox.client.post(
        f"{manager.url}/kruise/api/sandboxes/{sandbox.id}/{action}",
        json={"timeout": 600},
        headers={"X-API-Key": manager.api_key},
    )


def test_what_is_written_stays_in_the_sandbox(isolated: LocalManager, client: httpx.Client) -> None:
    one, other = make(isolated, client), make(isolated, client)
    names = [f"/home/user/x{os.getpid()}", f"/tmp/x{os.getpid()}", f"/opt/x{os.getpid()}"]
    for name in names:
        assert one.write(name, b"1").status_code == 200
        assert one.run(f"cat {name}") == "1"
        assert other.read(name).status_code == 404
        assert not os.path.exists(name)
    # A file of the host's can be changed, and is not.
    before = Path("/etc/hosts").read_bytes()
    assert one.write("/etc/hosts", b"changed").status_code == 200
    assert one.read("/etc/hosts").content == b"changed"
    assert Path("/etc/hosts").read_bytes() == before


def test_the_homes_begin_empty(isolated: LocalManager, client: httpx.Client) -> None:
    sandbox = make(isolated, client)
    assert sandbox.run("ls -A /home/user /tmp | grep -v :") == "\n"


def test_a_sandbox_sees_its_own_processes(isolated: LocalManager, client: httpx.Client) -> None:
    numbers = make(isolated, client).run("ls -d /proc/[0-9]*").split()
    assert 0 < len(numbers) < 20
    assert str(os.getpid()) not in numbers


@pytest.mark.skipif(os.geteuid() != 0, reason="accounts are root's")
def test_accounts(isolated: LocalManager, client: httpx.Client) -> None:
    sandbox = make(isolated, client)
    assert sandbox.run("whoami; pwd; echo $HOME; umask").split() == [
        "user", "/home/user", "/home/user", "0022",
    ]  # fmt: skip
    assert sandbox.run("touch /etc/not-mine 2>/dev/null || echo refused") == "refused\n"
    assert sandbox.run_code("import getpass; getpass.getuser()")[1]["text"] == "root"
    sandbox.write("mine.txt", b"")
    entry = sandbox.rpc("filesystem.Filesystem/Stat", path="mine.txt").json()["entry"]
    assert (entry["owner"], entry["group"]) == ("user", "user")


@pytest.mark.skipif(os.geteuid() != 0, reason="without root, all accounts are one")
def test_a_user_installs_packages(
    isolated: LocalManager, client: httpx.Client, tmp_path: Path
) -> None:
    """Into the own home, as on the template; and no others see them."""
    offline.make(tmp_path)
    sandbox = make(isolated, client)
    sandbox.write(offline.WHEEL, (tmp_path / offline.WHEEL).read_bytes())
    told = sandbox.run(f"pip install --no-index ./{offline.WHEEL} 2>&1")
    show = f"python -c 'import {MODULE}; print({MODULE}.GREETING)' || echo missing"
    assert sandbox.run(show) == f"{GREETING}\n", told
    assert make(isolated, client).run(show) == "missing\n"


def test_files_move_between_tmp_and_home(isolated: LocalManager, client: httpx.Client) -> None:
    sandbox = make(isolated, client)
    sandbox.write("/tmp/a", b"1")
    moved = sandbox.rpc("filesystem.Filesystem/Move", source="/tmp/a", destination="b")
    if os.geteuid() == 0:
        assert moved.json()["entry"]["path"] == "/home/user/b"
    else:
        # Without root they are two file systems.
        assert moved.status_code == 500


def test_the_environment_of_the_server_stays_outside(
    monkeypatch: pytest.MonkeyPatch, client: httpx.Client
) -> None:
    monkeypatch.setenv("A_SECRET_OF_MINE", "x")
    # Where packages are looked for is the machine's affair; where they are put is the sandbox's.
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_USER", "0")
    with LocalManager() as manager:
        sandbox = make(manager, client)
        assert sandbox.run("echo [$A_SECRET_OF_MINE$KRUISE_LOCAL_API_KEY]") == "[]\n"
        assert sandbox.run("echo $PIP_NO_INDEX [$PIP_USER]") == "1 []\n"


@pytest.mark.parametrize(
    ("kept", "file", "process"),
    [((), False, False), (("filesystem",), True, False), (("filesystem", "memory"), True, True)],
)
@pytest.mark.parametrize("isolation", ["auto", "none"])
def test_what_a_pause_keeps(
    isolation: str, kept: tuple[str, ...], file: bool, process: bool, client: httpx.Client
) -> None:
    with LocalManager(isolation=isolation, persistent_contents=kept) as manager:
        sandbox = make(manager, client)
        sandbox.write("a.txt", b"1")
        sandbox.run_code("x = 1")
        assert call(manager, sandbox, "pause").status_code == 204
        assert sandbox.client.get(f"{sandbox.url()}/health").status_code == 502
        assert call(manager, sandbox, "connect").status_code == 201
        assert (sandbox.read("a.txt").status_code == 200) is file
        assert sandbox.run_code("'x' in globals()")[1]["text"] == str(process)
        assert sandbox.run("echo $MINE") == "kept\n"


def test_without_namespaces_one_line_says_so(client: httpx.Client) -> None:
    with LocalManager(isolation="none") as manager:
        errors = os.pread(manager._errors.fileno(), 10_000, 0).decode()
        (said,) = [line for line in errors.splitlines() if "isolat" in line]
        assert said.startswith("kruise-autopatch-local: not isolated (--isolation none): ")
        sandbox = make(manager, client)
        home = sandbox.run("pwd").strip()
        assert sandbox.read("~").json()["message"] == f"path '{home}' is a directory"


def test_a_missing_tool_is_named(tmp_path: Path) -> None:
    code = (
        "import sys; from kruise_autopatch_local.sandbox import isolation;"
        "isolation._PATH = sys.argv[1];"
        "print(isolation.choose('auto', sys.argv[1]).reason);"
        "isolation.choose('namespaces', sys.argv[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    if sys.platform == "linux":
        assert done.stdout == "'unshare' of util-linux is missing\n"
    assert "--isolation namespaces is not possible here" in done.stderr.splitlines()[-1]


def test_warm_sandboxes(client: httpx.Client) -> None:
    with LocalManager(warm=2) as manager:
        sandboxes = [make(manager, client) for _ in range(4)]
        assert [sandbox.run("echo up") for sandbox in sandboxes] == ["up\n"] * 4
