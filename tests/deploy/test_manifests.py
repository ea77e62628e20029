"""Every manifest fits the published schemas, and the components do what their comments say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from deploy.admission import ENABLED, admit, pod
from deploy.manifests import (
    DEPLOY,
    EXAMPLES,
    KUSTOMIZATIONS,
    MOUNTED,
    Manifest,
    by_name,
    every_manifest,
    is_workload,
    load,
    pod_spec,
    render,
)
from kruise_autopatch import __version__, settings

# The minor releases that Kubernetes supports, and the admission API that each has.
KUBERNETES = {"1.35": "v1beta1", "1.36": "v1", "1.37": "v1"}

MANIFESTS = list(every_manifest())
SDK_VARIABLES = {"E2B_DOMAIN", "E2B_API_KEY", "SSL_CERT_FILE"}
LABELLED = ["Deployment/agent", "Job/evaluation", "CronJob/nightly"]


@pytest.mark.parametrize("release", KUBERNETES)
@pytest.mark.parametrize(("name", "manifest"), MANIFESTS, ids=[name for name, _ in MANIFESTS])
def test_it_fits_the_schema(name: str, manifest: Manifest, release: str) -> None:
    newer_than_its_api = manifest["apiVersion"] == "admissionregistration.k8s.io/v1"
    if newer_than_its_api and KUBERNETES[release] != "v1":
        pytest.skip("deploy/admission/v1beta1 is for this release")
    kubernetes_validate.validate(manifest, release, strict=True)


def test_a_manifest_that_does_not_fit_is_found() -> None:
    manifest = load(EXAMPLES[0])[0]
    pod_spec(manifest)["containers"][0]["envFromm"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, "1.37", strict=True)


@pytest.mark.parametrize(("release", "version"), KUBERNETES.items())
def test_each_release_has_the_version_that_is_offered_for_it(release: str, version: str) -> None:
    directory = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    kind = f"mutatingadmissionpolicy-admissionregistration-{version}.json"
    assert (directory / f"v{release}.0-local-strict" / kind).is_file()


def test_the_beta_differs_in_its_version_alone() -> None:
    stable, beta = render(KUSTOMIZATIONS["admission"]), render(KUSTOMIZATIONS["admission, beta"])
    for manifest in stable:
        manifest["apiVersion"] += "beta1"
    assert beta == stable


@pytest.mark.parametrize(("name", "manifest"), MANIFESTS, ids=[name for name, _ in MANIFESTS])
def test_no_unknown_variable_is_set(name: str, manifest: Manifest) -> None:
    known = {variable.name for variable in settings.VARIABLES} | SDK_VARIABLES | {"PYTHONPATH"}
    if manifest["kind"] == "ConfigMap":
        assert set(manifest["data"]) <= known
    if is_workload(manifest):
        for container in pod_spec(manifest)["containers"]:
            assert {variable["name"] for variable in container.get("env", [])} <= known


def test_the_recipe_has_no_lint() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [hadolint, DEPLOY / "image" / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_every_place_names_the_same_paths() -> None:
    path = f"{MOUNTED}/tree/kruise_autopatch/injected"
    component = load(DEPLOY / "components" / "injection" / "python-path.yaml")[0]
    assert component["data"]["PYTHONPATH"] == path
    for file in DEPLOY.rglob("*.yaml"):
        for found in re.findall(r"/opt/[\w/.-]*injected", file.read_text("utf-8")):
            assert found == path


def containers(manifest: Manifest) -> dict[str, Any]:
    return {c["name"]: c for c in pod_spec(manifest)["containers"]}


@pytest.fixture(scope="module")
def bare() -> dict[str, Manifest]:
    return by_name(render(DEPLOY / "examples" / "kustomize" / "workloads"))


@pytest.fixture(scope="module", params=["variables", "injection"])
def rendered(request: pytest.FixtureRequest) -> dict[str, Manifest]:
    return by_name(render(KUSTOMIZATIONS[request.param]))


@pytest.fixture(scope="module")
def injected() -> dict[str, Manifest]:
    return by_name(render(KUSTOMIZATIONS["injection"]))


def config_map(rendered: dict[str, Manifest]) -> Manifest:
    (found,) = [m for m in rendered.values() if m["kind"] == "ConfigMap"]
    return found


@pytest.mark.parametrize("workload", LABELLED)
def test_every_container_of_a_labelled_workload_gets_the_variables(
    rendered: dict[str, Manifest], workload: str
) -> None:
    # Its name ends in a digest of its content, so that a change rolls the workloads out.
    name = config_map(rendered)["metadata"]["name"]
    assert re.fullmatch(r"kruise-autopatch-\w{10}", name)
    for container in containers(rendered[workload]).values():
        assert container["envFrom"][-2:] == [
            {"prefix": "", "configMapRef": {"name": name}},
            {"prefix": "E2B_", "secretRef": {"name": "kruise-autopatch", "optional": True}},
        ]


def test_without_the_label_a_workload_stays_as_it_is(
    rendered: dict[str, Manifest], bare: dict[str, Manifest]
) -> None:
    assert rendered["Deployment/website"]["spec"] == bare["Deployment/website"]["spec"]


def test_what_a_container_has_stays(
    rendered: dict[str, Manifest], bare: dict[str, Manifest]
) -> None:
    before = containers(bare["Deployment/agent"])["other-server"]
    after = containers(rendered["Deployment/agent"])["other-server"]
    assert after["env"] == before["env"]
    assert after["envFrom"][0] == before["envFrom"][0]
    assert after["volumeMounts"][0] == before["volumeMounts"][0]
    (init,) = pod_spec(bare["Deployment/agent"])["initContainers"]
    assert init in pod_spec(rendered["Deployment/agent"])["initContainers"]


def test_a_patch_changes_the_values(rendered: dict[str, Manifest]) -> None:
    data = config_map(by_name(render(KUSTOMIZATIONS["variables"])))["data"]
    assert data == {
        "KRUISE_E2B_PATCH": "1",
        "KRUISE_E2B_HTTPS": "1",
        "E2B_DOMAIN": "sandbox.example.com",
    }


def test_nothing_but_kubernetes_own_kinds_is_rendered(rendered: dict[str, Manifest]) -> None:
    assert {m["kind"] for m in rendered.values()} == {"ConfigMap", "Deployment", "Job", "CronJob"}


@pytest.mark.parametrize("workload", LABELLED)
def test_the_injection_adds_the_copy_first_and_the_tree_to_every_container(
    injected: dict[str, Manifest], workload: str
) -> None:
    spec = pod_spec(injected[workload])
    first = spec["initContainers"][0]
    assert first["name"] == "kruise-autopatch"
    assert first["image"] == f"your.registry/kruise-autopatch:{__version__}"
    assert first["volumeMounts"] == [{"name": "kruise-autopatch", "mountPath": "/volume"}]
    assert {"name": "kruise-autopatch", "emptyDir": {}} in spec["volumes"]
    mount = {"name": "kruise-autopatch", "mountPath": MOUNTED, "readOnly": True}
    for container in spec["containers"]:
        assert mount in container["volumeMounts"]


def test_the_component_and_the_policy_add_the_same_init_container(
    injected: dict[str, Manifest],
) -> None:
    (by_policy,) = admit(pod({}), ENABLED)["spec"]["initContainers"]
    by_component = pod_spec(injected["Job/evaluation"])["initContainers"][0]
    assert {**by_component, "image": ""} == {**by_policy, "image": ""}
