"""The command line and `LocalManager`: starting, saying so, logging, and leaving nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import astuple
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from kruise_autopatch_local import LocalManager, LocalManagerError, options

from .clients import Sandbox

COMMAND = [sys.executable, "-m", "kruise_autopatch_local"]


def create(url: str) -> Any:
    body = {"templateID": "base", "timeout": 600}
    headers = {"X-API-Key": "some-api-key"}
    return httpx.post(
        f"{url}/kruise/api/sandboxes", json=body, headers=headers, trust_env=False
    ).json()


def marked(sandbox_id: str) -> list[psutil.Process]:
    """The processes whose environment names a sandbox."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("E2B_SANDBOX_ID") == sandbox_id:
                found.append(process)
        except psutil.Error:
            continue
    return found


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
        assert [server.stdout.readline().strip() for _ in range(4)] == [
            "export KRUISE_E2B_PATCH=1",
            "export KRUISE_E2B_HTTPS=0",
            f"export E2B_DOMAIN={domain}",
            "export E2B_API_KEY=some-api-key",
        ]
        assert httpx.get(f"{url}/health", trust_env=False).text == "OK"
        server.send_signal(signal.SIGINT)
        assert server.wait() in (0, -signal.SIGINT)
    assert not list(tmp_path.iterdir())


def test_a_clean_shutdown_leaves_no_process_and_no_directory() -> None:
    with LocalManager() as manager, httpx.Client(trust_env=False, timeout=60) as client:
        sandbox = Sandbox(manager, create(manager.url), client)
        sandbox.run_code("1")
        directory = Path(sandbox.run_code("import os; os.getcwd()")[1]["text"])
        # A daemon in a session of its own, and a command that never ends.
        script = "setsid sleep 1000 >/dev/null 2>&1 </dev/null & sleep 1000"
        body = {"process": {"cmd": "sh", "args": ["-c", script]}}
        started = subprocess.Popen(
            [sys.executable, "-c", STREAM, f"{sandbox.url()}/process.Process/Start",
             sandbox.token, repr(body)],
        )  # fmt: skip
        while len(marked(sandbox.id)) < 4:  # the kernel, the shell and both sleeps
            time.sleep(0.1)
        assert directory.is_dir()
    started.wait()
    assert marked(sandbox.id) == []
    assert not directory.exists()


STREAM = """
import ast, http.client, json, struct, sys, urllib.parse
url, token, body = urllib.parse.urlsplit(sys.argv[1]), sys.argv[2], sys.argv[3]
body = json.dumps(ast.literal_eval(body)).encode()
headers = {"Content-Type": "application/connect+json", "X-Access-Token": token}
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
    sandbox.run_code("import subprocess; subprocess.Popen(['sleep', '1000']) and None")
    assert len(marked(sandbox.id)) == 2
    api.delete(f"/sandboxes/{sandbox.id}")
    assert marked(sandbox.id) == []


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
            trust_env=False,
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
