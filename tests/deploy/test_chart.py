"""``deploy/chart``, by Helm itself: no lint, and the same policy as ``deploy/admission``."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

import kubernetes_validate
import pytest
import yaml
from helm_python import HelmError
from helm_python.chart import Chart, lint

from deploy.manifests import DEPLOY, KUSTOMIZATIONS, Manifest, by_name, render
from deploy.test_manifests import KUBERNETES

CHART = DEPLOY / "chart"
OWN = {"image": {"repository": "own.test/image", "tag": "7"}, "namespaces": ["team", "other"]}
# A plain `helm template` cannot know what the cluster has.
OFFERED = [release for release, version in KUBERNETES.items() if version == "v1"]


def rendered(values: dict[str, Any]) -> list[Manifest]:
    files = Chart.load(CHART).render(values)
    texts = [text for name, text in files.items() if name.endswith(".yaml")]
    return [m for text in texts for m in yaml.safe_load_all(text) if m is not None]


def folded(manifest: Any) -> Any:
    """The same with every white space in its texts as one blank."""
    if isinstance(manifest, dict):
        return {name: folded(value) for name, value in manifest.items()}
    if isinstance(manifest, list):
        return [folded(value) for value in manifest]
    return " ".join(manifest.split()) if isinstance(manifest, str) else manifest


@pytest.mark.parametrize("values", [{}, OWN], ids=["default", "own"])
def test_helm_has_nothing_to_say_against_it(values: dict[str, Any]) -> None:
    report = lint(CHART, values, strict=True)
    assert report["errors"] == []
    assert [m["error"] for m in report["messages"]] == ["icon is recommended"]


def test_it_is_the_policy_that_kustomize_applies() -> None:
    found, applied = by_name(rendered({})), by_name(render(KUSTOMIZATIONS["admission"]))
    for manifest in found.values():
        assert manifest["metadata"].pop("labels")["app.kubernetes.io/name"] == "kruise-autopatch"
    # They fold the lines of an expression in their own ways.
    assert folded(found) == folded(applied)


def test_the_image_is_that_of_the_values_and_nothing_else_changes() -> None:
    default, own = rendered({}), rendered({"image": OWN["image"]})
    text = json.dumps(own)
    assert text.count("'own.test/image:7'") == 1
    image = "'registry.example.com/kruise-autopatch:0.1.0'"
    assert json.loads(text.replace("'own.test/image:7'", image)) == default


def test_each_namespace_gets_the_variables() -> None:
    maps = [m for m in rendered(OWN) if m["kind"] == "ConfigMap"]
    assert [m["metadata"]["namespace"] for m in maps] == ["team", "other"]
    component = DEPLOY / "components" / "variables" / "kustomization.yaml"
    (generator,) = yaml.safe_load(component.read_text())["configMapGenerator"]
    literals = dict(literal.split("=", 1) for literal in generator["literals"])
    for config_map in maps:
        assert config_map["metadata"]["name"] == generator["name"]
        assert config_map["data"] == literals


@pytest.mark.parametrize("release", OFFERED)
def test_all_of_it_fits_the_schemas(release: str) -> None:
    for manifest in rendered(OWN):
        kubernetes_validate.validate(manifest, release, strict=True)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"variables": {"KRUISE_E2B_PATCH": 1}}, "want string"),
        ({"variables": {"E2B_DOMIAN ": "a.b", "PATH": "x"}}, "PATH"),
        ({"image": {"repository": "a'b"}}, "repository"),
        ({"namespace": "team"}, "namespace"),
    ],
)
def test_values_that_mean_nothing_are_refused(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(HelmError, match=reason):
        Chart.load(CHART).validate_schema(values)


def test_it_has_the_version_of_the_package() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == version("kruise-autopatch")
