"""The manifests of ``deploy/``, as they are and as ``kubectl kustomize`` renders them."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
DEPLOY = CHECKOUT / "deploy"
EXAMPLES = sorted((DEPLOY / "examples").glob("*.yaml"))
# As a user applies them, and where.
KUSTOMIZATIONS = {
    "variables": DEPLOY / "examples" / "kustomize" / "variables",
    "injection": DEPLOY / "examples" / "kustomize" / "injection",
    "admission": DEPLOY / "admission" / "v1",
    "admission, beta": DEPLOY / "admission" / "v1beta1",
}
KUBECTL = Path(sys.executable).with_name("kubectl")

LABEL = "kruise.io/e2b-autopatch"
MOUNTED = "/opt/kruise-autopatch"

Manifest = dict[str, Any]


def load(path: Path) -> list[Manifest]:
    return list(yaml.safe_load_all(path.read_text("utf-8")))


def render(directory: Path) -> list[Manifest]:
    return list(yaml.safe_load_all(_rendered(directory)))


@functools.cache
def _rendered(directory: Path) -> str:
    done = subprocess.run(
        [KUBECTL, "kustomize", directory], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def by_name(manifests: Iterable[Manifest]) -> dict[str, Manifest]:
    return {f"{m['kind']}/{m['metadata']['name']}": m for m in manifests}


def pod_spec(manifest: Manifest) -> Manifest:
    """The Pod in a workload of any kind, or in none."""
    spec: Manifest = manifest["spec"]
    if manifest["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    return spec if manifest["kind"] == "Pod" else spec["template"]["spec"]


def is_workload(manifest: Manifest) -> bool:
    return manifest["kind"] in ("Pod", "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")


def every_manifest() -> Iterator[tuple[str, Manifest]]:
    for path in EXAMPLES:
        for manifest in load(path):
            yield f"{path.name}: {manifest['kind']}", manifest
    for name, directory in KUSTOMIZATIONS.items():
        for manifest in render(directory):
            yield f"{name}: {manifest['kind']}/{manifest['metadata']['name']}", manifest
