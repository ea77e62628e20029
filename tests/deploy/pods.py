"""As much of a kubelet as it takes to run a Pod's containers here, in mounts of their own."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy import contained
from deploy.contained import Container, Mount
from deploy.manifests import Manifest
from support import loopback

# Of ConfigMaps and Secrets, by kind and name.
Objects = Mapping[tuple[str, str], Mapping[str, str]]


class Pod:
    """A Pod with volumes in ``directory``; every directory it mounts is moved to there too."""

    def __init__(self, spec: Manifest, objects: Objects, directory: Path) -> None:
        moved = directory / "mounted"
        text = json.dumps(spec)
        for path in sorted(_mount_paths(spec), key=len, reverse=True):
            text = re.sub(rf'(?<=["=:]){re.escape(path)}(?=["/:])', f"{moved}{path}", text)
        self._spec: Manifest = json.loads(text)
        self._objects = objects
        self._volumes = {
            volume["name"]: self._volume(volume, directory / "volumes" / volume["name"])
            for volume in spec.get("volumes", [])
        }

    def run_image(self, name: str, image: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
        """Run the init container ``name``, from ``image``."""
        container = self._container("initContainers", name)
        # The image's own paths, not moved ones.
        mounts = [
            Mount(
                self._volumes[m["name"]], "/" + Path(m["mountPath"]).name, m.get("readOnly", False)
            )
            for m in container["volumeMounts"]
        ]
        command = [*image["entrypoint"], *container.get("args", image["command"])]
        return contained.run(Container(command, mounts, image["root"]), {})

    def run(self, name: str, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run ``command`` in the container ``name``, on this machine's file system."""
        container = self._container("containers", name)
        mounts = []
        for mount in container.get("volumeMounts", []):
            Path(mount["mountPath"]).mkdir(parents=True, exist_ok=True)
            source = self._volumes[mount["name"]]
            mounts.append(Mount(source, mount["mountPath"], mount.get("readOnly", False)))
        variables = loopback.guarded(self.variables(name))
        return contained.run(Container(command, mounts), variables)

    def variables(self, name: str) -> dict[str, str]:
        """The environment of the container ``name``, as Kubernetes makes it."""
        container = self._container("containers", name)
        found: dict[str, str] = {}
        for source in container.get("envFrom", []):
            for kind, field in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
                if field in source:
                    reference = source[field]
                    data = self._data(kind, reference["name"], reference.get("optional", False))
                    prefix = source.get("prefix", "")
                    found.update({prefix + key: value for key, value in data.items()})
        for variable in container.get("env", []):
            found[variable["name"]] = self._value(variable)
        return found

    def _value(self, variable: Manifest) -> str:
        if "valueFrom" not in variable:
            return str(variable.get("value", ""))
        ((field, reference),) = variable["valueFrom"].items()
        kind = {"configMapKeyRef": "ConfigMap", "secretKeyRef": "Secret"}[field]
        return self._data(kind, reference["name"], False)[reference["key"]]

    def _data(self, kind: str, name: str, optional: bool) -> Mapping[str, str]:
        found = self._objects.get((kind, name))
        assert found is not None or optional, f"the Pod would wait for the {kind} {name}"
        return found or {}

    def _container(self, field: str, name: str) -> Manifest:
        (container,) = [c for c in self._spec[field] if c["name"] == name]
        return container  # type: ignore[no-any-return]

    def _volume(self, volume: Manifest, directory: Path) -> str:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        if "emptyDir" in volume:
            directory.chmod(0o777)
        else:
            name = volume["configMap"]["name"]
            for key, value in self._data("ConfigMap", name, False).items():
                (directory / key).write_text(value)
        return str(directory)


def _mount_paths(spec: Manifest) -> set[str]:
    containers = spec["containers"] + spec.get("initContainers", [])
    return {mount["mountPath"] for c in containers for mount in c.get("volumeMounts", [])}
