"""The fixture ``kruise_autopatch``, in runs of pytest of their own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from support import fresh

A_USERS_TESTS = Path(__file__).with_name("a_users_tests.py").read_text("utf-8")

# Nothing listens on port 1.
ANOTHER_SERVER = {
    "E2B_API_KEY": "not-the-local-one",
    "E2B_API_URL": "http://127.0.0.1:1",
    "E2B_DEBUG": "true",
    "E2B_DOMAIN": "127.0.0.1:1",
    "E2B_SANDBOX_URL": "http://127.0.0.1:1",
    "E2B_VOLUME_API_URL": "http://127.0.0.1:1",
}
A_PROXY = {
    "HTTP_PROXY": "http://127.0.0.1:1",
    "http_proxy": "http://127.0.0.1:1",
    "NO_PROXY": "kruise.test",
}
SWITCHED_ON = {
    "KRUISE_E2B_PATCH": "1",
    "KRUISE_E2B_SANDBOX_DOMAIN": "gateway.kruise.test",
    "KRUISE_E2B_TRAFFIC_TOKEN": "0",
    "E2B_DOMAIN": "kruise.test",
    "E2B_API_KEY": "not-the-local-one",
}

# As if the server's dependencies were not installed.
NO_UVICORN = "raise ModuleNotFoundError(\"No module named 'uvicorn'\", name='uvicorn')"


def run(
    directory: Path, source: str, *options: str, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    file = directory / "test_user.py"
    file.write_text(source, "utf-8")
    # Warnings are errors; pytest-asyncio, where it is installed, warns about its own future.
    arguments = ["-W", "error", "-p", "no:asyncio", "-p", "no:cacheprovider", *options]
    return fresh.run(["-m", "pytest", *arguments, str(file)], variables)


def outcome(done: subprocess.CompletedProcess[str]) -> str:
    """The last line, without decoration: such as ``1 passed``.

    Not the exit status: the Rust transport of e2b 2.38 and newer may abort the interpreter's
    shutdown after async use.
    """
    lines = [line for line in done.stdout.splitlines() if " in " in line and "==" in line]
    assert lines, done.stdout + done.stderr
    summary = lines[-1].strip("= ").rpartition(" in ")[0]
    return summary if summary.endswith("passed") and "," not in summary else done.stdout


@pytest.mark.parametrize(
    "variables", [{**ANOTHER_SERVER, **A_PROXY}, SWITCHED_ON], ids=["off", "on"]
)
def test_a_users_tests_pass_whatever_the_variables_say(
    variables: Mapping[str, str], tmp_path: Path
) -> None:
    assert outcome(run(tmp_path, A_USERS_TESTS, variables=variables)) == "9 passed"
    left_over = (tmp_path / "process").read_text().split()
    running = [process.info["cmdline"] for process in psutil.process_iter(["cmdline"])]
    assert left_over not in running


def test_a_server_with_options_replaces_the_usual_one(tmp_path: Path) -> None:
    source = """
import pytest
from e2b import Sandbox
from kruise_autopatch_local import LocalManager

@pytest.fixture(scope="session")
def kruise_autopatch_server():
    with LocalManager(api_key="my-own-key", request_log=False) as manager:
        yield manager

def test_it(kruise_autopatch):
    assert kruise_autopatch.api_key == "my-own-key"
    assert Sandbox.kill("no-such-sandbox") is False
"""
    assert outcome(run(tmp_path, source)) == "1 passed"


def test_each_worker_of_xdist_has_a_server_of_its_own_and_patches_an_sdk_that_comes_later(
    tmp_path: Path,
) -> None:
    source = """
from pathlib import Path
from kruise_autopatch import status

def test_with_the_fixture(kruise_autopatch, worker_id):
    Path(__file__).with_name(worker_id).write_text(kruise_autopatch.url)
    import e2b
    assert e2b.ConnectionConfig().api_url == kruise_autopatch.api_url

def test_without_it():
    import e2b
    assert e2b.ConnectionConfig().api_url == "https://kruise.test/kruise/api"
    assert status().settings.sandbox_domain == "gateway.kruise.test"
    assert status().settings.traffic_token is False
"""
    done = run(tmp_path, source, "-n2", "--dist=each", variables=SWITCHED_ON)
    assert outcome(done) == "4 passed"
    urls = {(tmp_path / worker).read_text() for worker in ("gw0", "gw1")}
    assert len(urls) == 2


def test_without_an_sdk_there_is_a_server_all_the_same(tmp_path: Path) -> None:
    source = """
import os, sys
sys.modules["e2b"] = None  # as if it were not installed

def test_it(kruise_autopatch):
    assert os.environ["E2B_DOMAIN"] == kruise_autopatch.domain
"""
    assert outcome(run(tmp_path, source)) == "1 passed"


def test_without_a_dependency_the_error_says_how_to_install_it(tmp_path: Path) -> None:
    (tmp_path / "uvicorn.py").write_text(NO_UVICORN)
    source = "def test_it(kruise_autopatch): pass"
    done = run(tmp_path, source, variables={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 1
    assert "pip install kruise-autopatch-local" in done.stdout
    # The message alone, without the code that raised it.
    assert "pytest_plugin.py" not in done.stdout


def test_a_run_that_does_not_use_it_loads_nothing_but_the_plugin_itself(tmp_path: Path) -> None:
    source = """
import json, sys
from pathlib import Path

def test_modules():
    Path(__file__).with_name("modules").write_text(json.dumps(sorted(sys.modules)))
"""

    def modules(*options: str) -> set[str]:
        assert outcome(run(tmp_path, source, *options)) == "1 passed"
        return set(json.loads((tmp_path / "modules").read_text()))

    assert modules() - modules("-p", "no:kruise_autopatch") == {
        "kruise_autopatch_local",
        "kruise_autopatch_local.pytest_plugin",
    }
