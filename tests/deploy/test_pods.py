"""A Pod from the manifest to the sandbox: its init container, its variables, the real SDK."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from deploy.admission import ENABLED, admit, pod
from deploy.contained import NOBODY, NotAllowed
from deploy.manifests import (
    CHECKOUT,
    DEPLOY,
    KUSTOMIZATIONS,
    Manifest,
    by_name,
    load,
    pod_spec,
    render,
)
from deploy.pods import Pod
from kruise_autopatch_local import LocalManager
from support import loopback_tls

# What an application does. It knows nothing of us; the last line is what it saw.
PROGRAM = """
import json, os, sys
from e2b import Sandbox

sandbox = Sandbox.create() if hasattr(Sandbox, "create") else Sandbox()
sandbox.files.write("note.txt", "written")
read = sandbox.files.read("note.txt")
echoed = sandbox.commands.run("echo said").stdout.strip()
host = sandbox.get_host(3000)
sandbox.kill()
try:
    open(sys.argv[1], "w").close()
    writable = True
except OSError:
    writable = False
print(json.dumps({
    "read": read, "echoed": echoed, "host": host, "writable": writable,
    "user": os.getuid(), "variables": sorted(os.environ), "patched": sys.modules["wrapt"].__file__,
}))
"""


@pytest.fixture
def cluster(manager: LocalManager) -> dict[tuple[str, str], dict[str, str]]:
    """What lies in the namespace, by kind and name."""
    return {
        ("ConfigMap", "kruise-autopatch"): {
            "KRUISE_E2B_PATCH": "1",
            "KRUISE_E2B_HTTPS": "0",
            "E2B_DOMAIN": manager.domain,
        },
        ("Secret", "kruise-autopatch"): {"API_KEY": manager.api_key},
    }


def copied(running: Pod, image: Mapping[str, Any]) -> None:
    if not Path(image["root"], "bin", "sh").exists():
        pytest.skip("no busybox for the image: apt-get install busybox-static")
    try:
        done = running.run_image("kruise-autopatch", image)
    except NotAllowed as reason:
        pytest.skip(f"no mounts of our own here: {reason}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def saw(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def check(found: Mapping[str, Any], manager: LocalManager, mounted: Path) -> None:
    """The application spoke to the manager, by our copy, which it could not change."""
    assert (found["read"], found["echoed"]) == ("written", "said")
    assert found["host"].startswith(f"{manager.domain}/kruise/")
    assert found["host"].endswith("/3000")
    assert found["patched"].startswith(str(mounted))
    assert found["writable"] is False
    assert found["user"] == NOBODY
    paths = {request["path"].split("/")[1] for request in manager.requests()}
    assert paths == {"kruise"}


def test_a_pod_that_the_policy_has_changed(
    python: str,
    image: dict[str, Any],
    manager: LocalManager,
    cluster: dict[tuple[str, str], dict[str, str]],
    tmp_path: Path,
) -> None:
    # It has a path of its own, which has to go on working.
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "sitecustomize.py").write_text("import builtins; builtins.own = True")
    own = {"env": [{"name": "PYTHONPATH", "value": str(tmp_path / "own")}]}
    running = Pod(admit(pod(own), ENABLED)["spec"], cluster, tmp_path)
    copied(running, image)
    mounted = tmp_path / "mounted" / "opt" / "kruise-autopatch"
    program = [python, "-c", f"own\n{PROGRAM}", str(mounted / "tree" / "new")]
    found = saw(running.run("c0", program))
    check(found, manager, mounted)
    # Nothing but what the Pod says; LC_CTYPE is what CPython itself may add.
    assert set(found["variables"]) - {"LC_CTYPE"} == {
        *("PYTHONPATH", "KRUISE_E2B_PATCH", "KRUISE_E2B_HTTPS", "E2B_DOMAIN", "E2B_API_KEY")
    }


@pytest.mark.parametrize("way", ["by hand", "component"])
def test_a_pod_with_the_injection_in_its_manifest(
    way: str,
    image: dict[str, Any],
    manager: LocalManager,
    cluster: dict[tuple[str, str], dict[str, str]],
    newest: str,
    tmp_path: Path,
) -> None:
    spec: Manifest
    if way == "by hand":
        (manifest,) = load(DEPLOY / "examples" / "injected.yaml")
        spec = pod_spec(manifest)
        (variable,) = [v for v in spec["containers"][0]["env"] if v["name"] == "E2B_DOMAIN"]
        variable["value"] = manager.domain
    else:
        rendered = by_name(render(KUSTOMIZATIONS["injection"]))
        spec = pod_spec(rendered["Deployment/agent"])
        (data,) = [m for m in rendered.values() if m["kind"] == "ConfigMap"]
        moved = str(tmp_path / "mounted")
        values = {
            name: f"{moved}{value}" if name == "PYTHONPATH" else value
            for name, value in data["data"].items()
        }
        cluster["ConfigMap", data["metadata"]["name"]] = {**values, "E2B_DOMAIN": manager.domain}
    running = Pod(spec, cluster, tmp_path)
    copied(running, image)
    mounted = tmp_path / "mounted" / "opt" / "kruise-autopatch"
    found = saw(running.run("agent", [newest, "-c", PROGRAM, str(mounted / "new")]))
    check(found, manager, mounted)


def test_the_doctor_in_a_pod(
    image: dict[str, Any],
    cluster: dict[tuple[str, str], dict[str, str]],
    python: str,
    tmp_path: Path,
) -> None:
    running = Pod(admit(pod({}), ENABLED)["spec"], cluster, tmp_path)
    copied(running, image)
    done = running.run("c0", [python, "-m", "kruise_autopatch", "doctor", "--json"])
    assert done.stderr == ""
    report = json.loads(done.stdout)
    problems = [f for f in report["findings"] if f["state"] == "problem"]
    assert problems == []
    assert done.returncode == 0
    (hook,) = [f for f in report["findings"] if f["check"] == "hook"]
    assert "the hook runs, by PYTHONPATH" in hook["text"]


def test_without_the_config_map_the_application_is_left_alone(
    python: str, image: dict[str, Any], tmp_path: Path
) -> None:
    running = Pod(admit(pod({}), ENABLED)["spec"], {}, tmp_path)
    copied(running, image)
    code = "import sys, e2b; print([m for m in sys.modules if m.startswith('kruise_autopatch')])"
    done = running.run("c0", [python, "-c", code])
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


def test_an_application_over_https_with_a_private_ca(
    certificates: dict[str, str], tmp_path: Path
) -> None:
    (manifest,) = load(DEPLOY / "examples" / "external-https-private-ca.yaml")
    with LocalManager(**loopback_tls.https(certificates)) as manager:
        spec = pod_spec(manifest)
        (variable,) = [v for v in spec["containers"][0]["env"] if v["name"] == "E2B_DOMAIN"]
        variable["value"] = manager.domain
        objects = {
            ("ConfigMap", "private-ca"): {"ca.crt": Path(certificates["authority"]).read_text()},
            ("Secret", "kruise-autopatch"): {"API_KEY": manager.api_key},
        }
        running = Pod(spec, objects, tmp_path)
        # The example's image has the package installed: this one has the tests' own.
        try:
            found = saw(running.run("agent", [sys.executable, "-c", PROGRAM, "/new"]))
        except NotAllowed as reason:
            pytest.skip(f"no mounts of our own here: {reason}")
        assert (found["read"], found["echoed"]) == ("written", "said")
        assert found["host"].startswith(f"{manager.domain}/kruise/")


def test_the_pod_from_nothing_prints_what_the_page_says(
    image: dict[str, Any],
    manager: LocalManager,
    cluster: dict[tuple[str, str], dict[str, str]],
    newest: str,
    tmp_path: Path,
) -> None:
    program = CHECKOUT / "examples" / "hello.py"
    cluster["ConfigMap", "program"] = {program.name: program.read_text()}
    (manifest,) = load(DEPLOY / "examples" / "from-nothing" / "agent.yaml")
    running = Pod(admit(manifest, ENABLED)["spec"], cluster, tmp_path)
    copied(running, image)
    mounted = tmp_path / "mounted"
    done = running.run("agent", [newest, str(mounted / "program" / program.name)])
    assert (done.returncode, done.stderr) == (0, "")
    *lines, addresses = done.stdout.splitlines()
    assert [line for line in lines if line] == ["45", "hello", platform.system()]
    host, link = addresses.split()
    assert host.startswith(f"{manager.domain}/kruise/")
    assert link.startswith(f"http://{manager.domain}/kruise/")
    # The doctor in it finds the variables, the hook and the server.
    done = running.run("agent", [newest, "-m", "kruise_autopatch", "doctor"])
    assert done.returncode == 0, done.stdout
