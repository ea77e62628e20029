"""The recipes of docs/ci.md are valid, and what they run works."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from distribution.environments import Environment, copy_libraries, virtual_environment
from kruise_autopatch_local import LocalManager
from support import fresh, loopback_tls

CHECKOUT = Path(__file__).resolve().parents[3]
RECIPES = CHECKOUT / "examples" / "ci"
SCHEMAS = {
    "github-actions.yml": "vendor.github-workflows",
    "gitlab-ci.yml": "vendor.gitlab-ci",
    "compose.yaml": "vendor.compose-spec",
}
# Every job of the recipes, and what its output shows if it did its work.
JOBS = {"local": "1 passed", "program": "/kruise/default--", "cluster": "/kruise/default--"}
each_job = pytest.mark.parametrize("job", JOBS)


def recipe(name: str) -> Any:
    return yaml.safe_load((RECIPES / name).read_text("utf-8"))


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that the recipes install, except our distributions."""
    directory = tmp_path_factory.mktemp("everything")
    copy_libraries(directory, "code-interpreter,local", ["pip", "pytest"])
    return directory


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project's checkout, with a test and a program."""
    directory = tmp_path / "project"
    directory.mkdir()
    shutil.copy(RECIPES / "test_sandbox.py", directory)
    shutil.copy(RECIPES / "tox.ini", directory)
    shutil.copy(CHECKOUT / "examples" / "hello.py", directory / "program.py")
    return directory


@pytest.fixture
def new_machine(
    everything: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Environment]:
    """A runner or a container: a Python without our package."""

    def new() -> Environment:
        machine = virtual_environment(tmp_path_factory.mktemp("machine") / "env", everything)
        pip = machine.python.with_name("pip")
        pip.write_text('#!/bin/sh\nexec python -m pip "$@"\n')
        pip.chmod(0o755)
        return machine

    return new


@pytest.fixture
def installers(wheel: Path, local_wheel: Path) -> dict[str, str]:
    """Let pip find our wheels, and ask nobody else."""
    return {
        "PIP_FIND_LINKS": f"{wheel.parent} {local_wheel.parent}",
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
    }


@pytest.fixture(scope="session")
def cluster(certificates: dict[str, str]) -> Iterator[dict[str, str]]:
    """A sandbox-manager that speaks https; the variables that a project sets for it."""
    with LocalManager(**loopback_tls.https(certificates)) as manager:
        yield {
            "E2B_DOMAIN": manager.domain,
            "E2B_API_KEY": manager.api_key,
            "SSL_CERT_FILE": certificates["authority"],
        }


class Runner:
    """Runs one shell after another, and in the end ends what they left in the background."""

    def __init__(self, directory: Path, variables: Mapping[str, str]) -> None:
        self._directory = directory
        self._variables = variables
        self._shells: list[subprocess.Popen[str]] = []
        # Of all shells together; complete in the end.
        self.output = ""

    def run(self, machine: Environment, script: str, variables: Mapping[str, str]) -> None:
        path = f"{machine.python.parent}{os.pathsep}{os.defpath}"
        shell = subprocess.Popen(
            ["bash", "-eo", "pipefail", "-c", script],
            env=fresh.environment({"PATH": path, **self._variables, **variables}),
            cwd=self._directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._shells.append(shell)
        status = shell.wait(fresh.PATIENCE)
        if status != 0:
            self.end()
        assert status == 0, f"{script}\n{self.output}"

    def end(self) -> None:
        while self._shells:
            shell = self._shells.pop()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGTERM)
            # Until the last process that writes there has gone.
            self.output = shell.communicate()[0] + self.output


@pytest.fixture
def runner(project: Path, installers: dict[str, str]) -> Iterator[Runner]:
    runner = Runner(project, installers)
    yield runner
    runner.end()


@pytest.mark.parametrize(("name", "schema"), SCHEMAS.items())
def test_a_recipe_is_valid(name: str, schema: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema]
    done = subprocess.run(
        [*command, str(RECIPES / name)], env=fresh.environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@each_job
def test_github_actions(
    job: str,
    new_machine: Callable[[], Environment],
    runner: Runner,
    cluster: dict[str, str],
    tmp_path: Path,
) -> None:
    machine, description = new_machine(), recipe("github-actions.yml")["jobs"][job]
    variables = description.get("env", {})
    for name in ("E2B_DOMAIN", "E2B_API_KEY"):
        if name in variables:
            assert variables[name] in (f"${{{{ vars.{name} }}}}", f"${{{{ secrets.{name} }}}}")
    if job == "cluster":
        variables.update(cluster)
    exported = tmp_path / "exported"
    exported.touch()
    for step in description["steps"]:
        if "uses" not in step:
            lines = exported.read_text().splitlines()
            variables.update(line.split("=", 1) for line in lines)
            runner.run(machine, step["run"], {**variables, "GITHUB_ENV": str(exported)})
    runner.end()
    assert JOBS[job] in runner.output


@each_job
def test_gitlab_ci(
    job: str, new_machine: Callable[[], Environment], runner: Runner, cluster: dict[str, str]
) -> None:
    description = recipe("gitlab-ci.yml")[job]
    variables = description.get("variables", {})
    if job == "cluster":
        variables.update(cluster)
    runner.run(new_machine(), "\n".join(description["script"]), variables)
    runner.end()
    assert JOBS[job] in runner.output


@pytest.mark.parametrize("job", ["local", "cluster"])
def test_tox(
    job: str,
    everything: Path,
    new_machine: Callable[[], Environment],
    runner: Runner,
    cluster: dict[str, str],
    tmp_path: Path,
) -> None:
    tox = [sys.executable, "-m", "tox", "run", "--workdir", str(tmp_path / "tox"), "-e", job]
    # Where the environments find what cannot be downloaded here; pip looks there without -I.
    tox += ["-x", f"testenv.set_env=PYTHONPATH={everything}"]
    tox += ["-x", "testenv.install_command=python -m pip install {packages}"]
    variables = {"KRUISE_E2B_PATCH": "1", **cluster} if job == "cluster" else {}
    runner.run(new_machine(), shlex.join(tox), variables)
    runner.end()
    assert JOBS[job] in runner.output


def test_docker_compose(new_machine: Callable[[], Environment], runner: Runner) -> None:
    """Without docker: what the containers run, in the network that they share."""
    with socket.socket() as any_socket:
        any_socket.bind(("127.0.0.1", 0))
        port = str(any_socket.getsockname()[1])
    text = (RECIPES / "compose.yaml").read_text("utf-8").replace("8888", port)
    services = yaml.safe_load(text)["services"]
    manager, app = services["sandbox-manager"], services["app"]
    assert app["network_mode"] == "service:sandbox-manager"
    healthy = f"until {manager['healthcheck']['test']} 2> /dev/null; do sleep 0.2; done"
    runner.run(new_machine(), f"{manager['command']} &\n{healthy}", manager["environment"])
    runner.run(new_machine(), app["command"], app["environment"])
    runner.end()
    assert "/kruise/default--" in runner.output


def test_an_async_test_of_pytest_asyncio(project: Path) -> None:
    (project / "test_async.py").write_text(
        """
import pytest
from e2b import AsyncSandbox

@pytest.mark.asyncio
async def test_it(kruise_autopatch):
    sandbox = await AsyncSandbox.create()
    assert (await sandbox.commands.run("echo hello")).stdout == "hello\\n"
    assert await sandbox.kill()
"""
    )
    done = fresh.run(["-m", "pytest", "-p", "no:cacheprovider", str(project / "test_async.py")])
    # Not the exit status: the Rust transport of e2b 2.38 and newer may abort the interpreter's
    # shutdown after async use.
    assert "1 passed" in done.stdout, done.stdout
