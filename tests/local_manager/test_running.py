"""The command line and `LocalManager`: starting, saying so, logging, and leaving nothing."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import astuple
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from kruise_autopatch_local import LocalManager, LocalManagerError, options

from .clients import PATIENTLY, USER, Sandbox

COMMAND = [sys.executable, "-m", "kruise_autopatch_local"]


def create(manager: LocalManager) -> Any:
    body = {"templateID": "base", "timeout": 600}
    headers = {"X-API-Key": manager.api_key}
    return httpx.post(
        f"{manager.url}/kruise/api/sandboxes", json=body, headers=headers, **PATIENTLY
    ).json()


def sleeping(seconds: str) -> list[psutil.Process]:
    """The processes that are called `sleep SECONDS`, zombies aside."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if process.info["cmdline"] == ["sleep", seconds]
    ]


def unique() -> str:
    """Seconds that nobody else on this machine sleeps for."""
    return f"1000.{random.randrange(10**9)}"


def test_the_first_line_is_the_url(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        domain = url.partition("http://")[2]
        *others, key = [server.stdout.readline().strip() for _ in range(4)]
        assert others == [
            "export KRUISE_E2B_PATCH=1",
            "export KRUISE_E2B_HTTPS=0",
            f"export E2B_DOMAIN={domain}",
        ]
        # A new one each time.
        assert re.fullmatch("export E2B_API_KEY=local-[0-9a-f]{32}", key)
        headers = {"X-API-Key": key.partition("=")[2]}
        listed = httpx.get(f"{url}/kruise/api/v2/sandboxes", headers=headers, **PATIENTLY)
        assert listed.json() == []
        server.send_signal(signal.SIGINT)
        assert server.wait() in (0, -signal.SIGINT)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("isolation", ["auto", "none"])
def test_a_clean_shutdown_leaves_no_process_and_no_directory(
    isolation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    seconds = unique()
    with (
        LocalManager(isolation=isolation) as manager,
        httpx.Client(**PATIENTLY) as client,
    ):
        sandbox = Sandbox(manager, create(manager), client)
        sandbox.run_code("1")
        # A daemon in a session of its own, without an environment; and one that never ends.
        script = f"setsid env -i sleep {seconds} >/dev/null 2>&1 </dev/null & sleep {seconds}"
        body = {"process": {"cmd": "sh", "args": ["-c", script]}}
        started = subprocess.Popen(
            [sys.executable, "-c", STREAM, f"{sandbox.url()}/process.Process/Start",
             sandbox.token, repr(body)],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while len(sleeping(seconds)) < 2:
            time.sleep(0.1)
    started.wait()
    assert sleeping(seconds) == []
    assert list(tmp_path.iterdir()) == []


def test_a_killed_server_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Its directory it cannot remove any more.
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    seconds = unique()
    for isolation in ("auto", "none"):
        with (
            LocalManager(isolation=isolation) as manager,
            httpx.Client(**PATIENTLY) as client,
        ):
            sandbox = Sandbox(manager, create(manager), client)
            sandbox.run(f"setsid env -i sleep {seconds} >/dev/null 2>&1 </dev/null &")
            while not sleeping(seconds):
                time.sleep(0.1)
            manager._process.kill()
            while sleeping(seconds):
                time.sleep(0.1)


STREAM = """
import ast, http.client, json, struct, sys, urllib.parse
url, token, body = urllib.parse.urlsplit(sys.argv[1]), sys.argv[2], sys.argv[3]
body = json.dumps(ast.literal_eval(body)).encode()
headers = {"Content-Type": "application/connect+json", "X-Access-Token": token,
           "Authorization": "Basic dXNlcjo="}
connection = http.client.HTTPConnection(url.netloc)
connection.request("POST", url.path, struct.pack(">BI", 0, len(body)) + body, headers)
connection.getresponse().read()
"""


def test_the_server_ends_with_the_process_that_started_it() -> None:
    code = (
        "import os; from kruise_autopatch_local import LocalManager;"
        "m = LocalManager(request_log=False);"
        "print(m._process.pid, flush=True); os._exit(1)"
    )
    pid = int(subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE).stdout)
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.1)


def test_killing_a_sandbox_kills_its_processes(api: httpx.Client, sandbox: Sandbox) -> None:
    seconds = unique()
    sandbox.run_code(f"import subprocess; subprocess.Popen(['sleep', '{seconds}']) and None")
    assert len(sleeping(seconds)) == 1
    api.delete(f"/sandboxes/{sandbox.id}")
    assert sleeping(seconds) == []


def test_a_stream_ends_when_its_sandbox_does(api: httpx.Client, sandbox: Sandbox) -> None:
    # A grandchild that has left the session holds the pipe.
    body = json.dumps(
        {"process": {"cmd": "sh", "args": ["-c", f"echo begun; setsid sleep {unique()}"]}}
    ).encode()
    content = struct.pack(">BI", 0, len(body)) + body
    headers = {"Content-Type": "application/connect+json", "X-Access-Token": sandbox.token, **USER}
    url = f"{sandbox.url()}/process.Process/Start"
    with sandbox.client.stream("POST", url, headers=headers, content=content) as response:
        chunks = response.iter_raw()
        while b"stdout" not in next(chunks):
            pass
        api.delete(f"/sandboxes/{sandbox.id}")
        with pytest.raises(httpx.RemoteProtocolError):
            for _ in chunks:
                pass


def test_the_request_log(manager: LocalManager, plain: httpx.Client) -> None:
    before = len(manager.requests())
    headers = {"X-API-KEY": "secret", "X-Other": "other"}
    plain.get("/kruise/api/sandboxes/a%2Fb?c=%20d", headers=headers)
    (request,) = manager.requests()[before:]
    assert request["method"] == "GET"
    assert request["scheme"] == "http"
    assert request["host"] == manager.domain
    assert request["path"] == "/kruise/api/sandboxes/a%2Fb"
    assert request["query"] == "c=%20d"
    assert request["status"] == 401
    assert request["headers"]["x-api-key"] == "<set>"
    assert request["headers"]["x-other"] == "other"


def test_the_environment_and_a_static_domain() -> None:
    with LocalManager(api_key="mine", e2b_domain="static.example") as manager:
        assert manager.environment() == {
            "KRUISE_E2B_PATCH": "1",
            "KRUISE_E2B_HTTPS": "0",
            "E2B_DOMAIN": manager.domain,
            "E2B_API_KEY": "mine",
        }
        sandbox = httpx.post(
            f"{manager.url}/kruise/api/sandboxes",
            json={"templateID": "base"},
            headers={"X-API-Key": "mine"},
            **PATIENTLY,
        ).json()
        assert sandbox["domain"] == "static.example"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "'0.0.0.0' is not a loopback address"),
        (["--host", "example.com"], "'example.com' is not an IP address"),
        (["--port", "99999"], "'99999' is not a port"),
        (["--certfile", "/nope"], "there is no file '/nope'"),
        (["--certfile", __file__], "cannot use the certificate or its key"),
    ],
)
def test_bad_arguments(arguments: list[str], message: str) -> None:
    result = subprocess.run([*COMMAND, *arguments], stderr=subprocess.PIPE, text=True)
    assert result.returncode != 0
    assert message in result.stderr


def test_the_command_line_of_options_says_the_same_again() -> None:
    chosen = options.Options(
        host="::1",
        port=8888,
        api_key="--with=signs",
        templates=("one", "two"),
        e2b_domain="static.example",
        certfile=__file__,
        keyfile=__file__,
        request_log="log",
        token_validity=1.5,
        isolation="none",
        warm=3,
        persistent_contents=("filesystem", "memory"),
        gateway="uuid",
        newer=True,
        token_leeway=0.5,
        token_outage="outage",
        exit_with_stdin=True,
    )
    defaults = options.Options()
    # No option is left out here.
    assert not set(astuple(chosen)) & set(astuple(defaults))
    assert options.read(chosen.arguments()) == chosen
    assert options.read(defaults.arguments()) == defaults
    assert defaults.arguments() == []


def test_a_failure_to_start_shows_the_servers_error() -> None:
    with pytest.raises(LocalManagerError, match="there is no file '/nope'"):
        LocalManager(certfile="/nope")
    with pytest.raises(LocalManagerError, match="Cannot run /no/python"):
        LocalManager(python="/no/python")


def test_a_missing_dependency_is_named(tmp_path: Path) -> None:
    (tmp_path / "uvicorn.py").write_text("raise ModuleNotFoundError('x', name='uvicorn')")
    paths = [str(tmp_path), os.environ.get("PYTHONPATH", "")]
    result = subprocess.run(
        COMMAND,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)},
    )
    assert result.returncode == 1
    assert "'uvicorn'" in result.stderr
    assert "pip install kruise-autopatch-local" in result.stderr
