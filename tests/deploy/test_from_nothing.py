"""``docs/from-nothing.md``: its commands, in their order, as far as they go without a cluster."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from helm_python.chart import Chart

from deploy.admission import ENABLED, admit
from deploy.manifests import CHECKOUT, DEPLOY, KUBECTL, LABEL, Manifest, load
from deploy.test_manifests import KUBERNETES
from docs.openkruise import CHARTS, HELM, NAMESPACE

PAGE = CHECKOUT / "docs" / "from-nothing.md"
FILES = DEPLOY / "examples" / "from-nothing"

# Values of OpenKruise's charts that the page sets, read in their values.yaml and documentation.
VALUES = {
    "agents-sandbox-controller": {
        "replicaCount",
        "resources.requests.cpu",
        "resources.requests.memory",
    },
    "agents-sandbox-manager": {
        "e2b.adminApiKey",
        "e2b.domain",
        "ingress.className",
        "replicaCount",
        "controller.resources.cpu",
        "controller.resources.memory",
        "gateway.replicaCount",
        "gateway.resources.cpu",
        "gateway.resources.memory",
    },
}
# Without these, the chart refuses.
REQUIRED = {"e2b.adminApiKey", "e2b.domain", "ingress.className"}


def commands(page: Path) -> list[list[str]]:
    text = page.read_text("utf-8").replace("\\\n", " ")
    lines = re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE)
    return [shlex.split(line) for line in lines]


COMMANDS = commands(PAGE)


def option(command: list[str], *names: str) -> str | None:
    """The value of an option that is written as ``--name value`` or ``--name=value``."""
    for at, word in enumerate(command):
        if word in names:
            return command[at + 1]
        for name in names:
            if word.startswith(f"{name}="):
                return word.partition("=")[2]
    return None


def settings(command: list[str]) -> dict[str, str]:
    given = [command[at + 1] for at, word in enumerate(command) if word == "--set"]
    return dict(setting.split("=", 1) for setting in given)


def helm_installs() -> Iterator[tuple[str, list[str]]]:
    for command in COMMANDS:
        if command[:2] == ["helm", "install"]:
            yield command[3], command


def test_there_are_commands() -> None:
    assert {command[0] for command in COMMANDS} == {
        *("kind", "helm", "kubectl", "export", "python3", "pip", "python", "docker")
    }


def test_every_file_is_there() -> None:
    paths = [
        word.partition("--from-file=")[2] or word
        for command in COMMANDS
        for word in command
        if re.match(r"(--from-file=)?(deploy|examples)/", word)
    ]
    assert len(paths) == 8
    assert [path for path in paths if not (CHECKOUT / path).exists()] == []


@pytest.mark.parametrize("page", [PAGE, CHECKOUT / "docs" / "kubernetes.md"], ids=lambda p: p.name)
def test_a_namespace_is_created_before_it_is_used(page: Path) -> None:
    there = {"default"} if page == PAGE else {"default", NAMESPACE}
    for command in commands(page):
        if command[:3] == ["kubectl", "create", "namespace"]:
            there.add(command[3])
        used = [option(command, "-n", "--namespace")]
        if command[:3] in (["kubectl", "label", "namespace"], ["kubectl", "delete", "namespace"]):
            used.append(command[3])
        if command[:2] == ["helm", "install"]:
            used.append(settings(command).get("namespaces", "{default}").strip("{}"))
        assert {name for name in used if name} <= there, command


def test_openkruise_is_installed_by_its_charts_with_values_that_they_have() -> None:
    installed = {chart: command for chart, command in helm_installs() if "/" in chart}
    theirs = [chart for chart in installed if chart.startswith("openkruise/")]
    assert theirs == [f"openkruise/{name}" for name in CHARTS]
    assert ["helm", "repo", "add", "openkruise", "https://openkruise.github.io/charts/"] in COMMANDS
    for chart in theirs:
        command, name = installed[chart], chart.partition("/")[2]
        # Then its Service is called what the chart is.
        assert command[2] == name
        assert option(command, "-n") == NAMESPACE
        assert set(settings(command)) == VALUES[name]
    assert VALUES[HELM.name] >= REQUIRED


def test_the_variables_lead_to_what_is_forwarded() -> None:
    made, exported = [c for c in COMMANDS if c[0] == "export"]
    variables = dict(word.split("=", 1) for word in exported[1:])
    (forwarded,) = [c for c in COMMANDS if c[:2] == ["kubectl", "port-forward"]]
    local = forwarded[-1].partition(":")[0]
    assert forwarded[-2] == f"service/{HELM.name}"
    assert (variables["E2B_DOMAIN"], variables["KRUISE_E2B_HTTPS"]) == (f"localhost:{local}", "0")
    name = made[1].partition("=")[0]
    installing = dict(helm_installs())[f"openkruise/{HELM.name}"]
    assert variables["E2B_API_KEY"] == f"${name}"
    assert settings(installing)["e2b.adminApiKey"] == f"${name}"
    (secret,) = [c for c in COMMANDS if "secret" in c]
    assert option(secret, "--from-literal") == f"API_KEY=${name}"


def test_the_images_are_built_loaded_and_asked_for() -> None:
    built = {option(c, "-t") for c in COMMANDS if c[:2] == ["docker", "build"]}
    (loaded,) = [c for c in COMMANDS if c[:3] == ["kind", "load", "docker-image"]]
    (agent,) = load(FILES / "agent.yaml")
    pod = admit(agent, ENABLED)
    ours = settings(dict(helm_installs())["deploy/chart"])["image.repository"]
    chart = Chart.load(DEPLOY / "chart")
    rendered = chart.render({"image": {"repository": ours}})[
        "kruise-autopatch/templates/policy.yaml"
    ]
    named = set(re.findall(r"'(kruise-autopatch:[\w.]+)'", rendered))
    assert built == {*loaded[3:5]} == {*named, pod["spec"]["containers"][0]["image"]}
    # `latest` would be looked for in a registry, in spite of `kind load`.
    assert not any(str(image).endswith(":latest") for image in built)
    clusters = {option(c, "--name") for c in COMMANDS if c[0] == "kind"}
    assert clusters == {"kruise"}


def test_the_pod_gets_everything_from_the_policy_and_the_chart() -> None:
    (agent,) = load(FILES / "agent.yaml")
    spec = admit(agent, ENABLED)["spec"]
    (container,) = spec["containers"]
    names = {
        kind: reference["name"]
        for source in container["envFrom"]
        for kind, reference in source.items()
        if kind != "prefix"
    }
    installing = dict(helm_installs())["deploy/chart"]
    values = {"namespaces": [settings(installing)["namespaces"].strip("{}")]}
    text = Chart.load(DEPLOY / "chart").render(values)["kruise-autopatch/templates/variables.yaml"]
    (config_map,) = [m for m in yaml.safe_load_all(text) if m]
    assert names["configMapRef"] == config_map["metadata"]["name"]
    assert config_map["data"]["E2B_DOMAIN"] == HELM.host
    (secret,) = [c for c in COMMANDS if c[3:6] == ["create", "secret", "generic"]]
    assert names["secretRef"] == secret[6]
    assert [c[-1] for c in COMMANDS if c[:3] == ["kubectl", "label", "namespace"]] == [
        f"{LABEL}=enabled"
    ]
    # The program is where the Pod looks for it.
    (program,) = [c for c in COMMANDS if c[3:5] == ["create", "configmap"]]
    (volume,) = [v for v in spec["volumes"] if "configMap" in v]
    assert volume["configMap"]["name"] == program[5]
    file = Path(str(option(program, "--from-file"))).name
    assert f"python /program/{file} " in container["command"][-1]


@pytest.mark.parametrize("release", KUBERNETES)
def test_the_manifests_fit_the_schemas(release: str) -> None:
    (agent,) = load(FILES / "agent.yaml")
    kubernetes_validate.validate(agent, release, strict=True)
    (template,) = load(FILES / "sandboxset.yaml")
    # Of the custom resource: apiVersion, kind, and what the CRDs from 0.1.0 on have below spec.
    assert (template["apiVersion"], template["kind"]) == ("agents.kruise.io/v1alpha1", "SandboxSet")
    assert set(template["spec"]) == {"replicas", "template"}
    pods: Manifest = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "p"}}
    pods["template"] = template["spec"]["template"]
    kubernetes_validate.validate(pods, release, strict=True)


def test_the_template_is_the_one_that_is_waited_for() -> None:
    (template,) = load(FILES / "sandboxset.yaml")
    (waiting,) = [c for c in COMMANDS if any("sandboxset/" in word for word in c)]
    assert f"sandboxset/{template['metadata']['name']}" in waiting
    ready = f"--for=jsonpath={{.status.availableReplicas}}={template['spec']['replicas']}"
    assert ready in waiting


def test_kind_switches_on_what_the_policy_needs() -> None:
    (cluster,) = load(FILES / "kind.yaml")
    assert (cluster["kind"], cluster["apiVersion"]) == ("Cluster", "kind.x-k8s.io/v1alpha4")
    switches = (CHECKOUT / "docs" / "kubernetes.md").read_text()
    for field, flag in (("featureGates", "feature-gates"), ("runtimeConfig", "runtime-config")):
        ((name, value),) = cluster[field].items()
        assert f"--{flag}={name}={str(value).lower()}" in switches


def kubectl_commands() -> list[list[str]]:
    return [command for command in COMMANDS if command[0] == "kubectl"]


@pytest.mark.parametrize("command", kubectl_commands(), ids=lambda c: " ".join(c[1:5]))
def test_kubectl_knows_every_word(command: list[str], tmp_path: Path) -> None:
    """It gets as far as asking the cluster, or does what it can without one."""
    offline = "create" in command
    variables = {**os.environ, "KUBECONFIG": str(tmp_path / "none"), "HOME": str(tmp_path)}
    end = ["--dry-run=client", "--output=name"] if offline else ["--server=http://127.0.0.1:1"]
    at = command.index("--") if "--" in command else len(command)
    arguments = [*command[1:at], *end, *command[at:]]
    done = subprocess.run(
        [KUBECTL, *arguments],
        cwd=CHECKOUT,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    if offline:
        assert (done.returncode, done.stderr) == (0, "")
    else:
        assert "127.0.0.1:1" in done.stderr, done.stderr
        assert "unknown" not in done.stderr


def test_the_application_s_image_has_no_package_of_ours() -> None:
    text = (FILES / "Dockerfile").read_text()
    assert "kruise" not in text
    assert "e2b-code-interpreter" in text
