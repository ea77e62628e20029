"""What the API server makes of a Pod with ``deploy/admission``, by Google's own CEL for C++."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import jsonpatch
from cel_expr_python import cel
from google.protobuf import descriptor_pb2, descriptor_pool, struct_pb2
from google.protobuf.json_format import MessageToDict

from deploy.manifests import KUSTOMIZATIONS, LABEL, Manifest, by_name, render

# The labels of a namespace where the policy is in force.
ENABLED = {LABEL: "enabled"}


def pod(*containers: Manifest, **spec: Any) -> Manifest:
    """A Pod; its containers are called c0, c1 and so on."""
    named = [{"name": f"c{n}", "image": "i", **c} for n, c in enumerate(containers)]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": named, **spec},
    }


def admit(pod: Manifest, namespace_labels: Mapping[str, str]) -> Manifest:
    """``pod`` as it is stored when it is created in such a namespace.

    The API server evaluates the policy once for each binding that matches.
    """
    manifests = by_name(render(KUSTOMIZATIONS["admission"]))
    policy = manifests.pop("MutatingAdmissionPolicy/kruise-autopatch")["spec"]
    bindings = [manifest["spec"] for manifest in manifests.values()]
    for binding in bindings:
        assert binding["policyName"] == "kruise-autopatch"
        where = binding["matchResources"]
        labels = pod["metadata"].get("labels", {})
        if (
            selects(where["namespaceSelector"], namespace_labels)
            and selects(where["objectSelector"], labels)
            and all(_evaluate(c["expression"], pod, {}) for c in policy["matchConditions"])
        ):
            pod = _mutate(pod, policy)
    return pod


def _mutate(pod: Manifest, policy: Manifest) -> Manifest:
    for mutation in policy["mutations"]:
        assert mutation["patchType"] == "JSONPatch"
        variables: dict[str, Any] = {}
        for variable in policy["variables"]:
            variables[variable["name"]] = _evaluate(variable["expression"], pod, variables)
        patch = _evaluate(mutation["jsonPatch"]["expression"], pod, variables)
        operations = [_whole_numbers(MessageToDict(operation)) for operation in patch]
        pod = jsonpatch.apply_patch(copy.deepcopy(pod), operations)
    return pod


def selects(selector: Manifest, labels: Mapping[str, str]) -> bool:
    """Kubernetes' label selector, as far as the bindings use it."""
    assert selector.keys() <= {"matchLabels", "matchExpressions"}
    for name, value in selector.get("matchLabels", {}).items():
        if labels.get(name) != value:
            return False
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "NotIn"
        if labels.get(expression["key"]) in expression["values"]:
            return False
    return True


def _evaluate(expression: str, pod: Manifest, variables: Mapping[str, Any]) -> Any:
    compiled = _ENVIRONMENT.compile(expression)
    found = compiled.eval(data={"object": pod, "variables": dict(variables)})
    assert found.type() != cel.Type.ERROR, found.plain_value()
    return found.plain_value()


def _describe_json_patch() -> descriptor_pool.DescriptorPool:
    """Kubernetes' type ``JSONPatch``, which the expressions build."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="kubernetes.proto", syntax="proto3", dependency=[struct_pb2.DESCRIPTOR.name]
    )
    message = file.message_type.add(name="JSONPatch")
    for number, name in enumerate(("op", "path"), start=1):
        message.field.add(
            name=name, number=number, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL
        )
    message.field.add(
        name="value",
        number=3,
        type=field.TYPE_MESSAGE,
        type_name=".google.protobuf.Value",
        label=field.LABEL_OPTIONAL,
    )
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return pool


def _position(name: str, find: Any) -> cel.FunctionDecl:
    """A method of lists that Kubernetes adds to CEL."""
    parameters = [cel.Type.LIST, cel.Type.STRING]
    overload = cel.Overload(f"list_{name}", cel.Type.INT, parameters, True, find)
    return cel.FunctionDecl(name, [overload])


def _last(values: Any, wanted: str) -> int:
    return max((at for at, value in enumerate(values) if value == wanted), default=-1)


def _first(values: Any, wanted: str) -> int:
    return next((at for at, value in enumerate(values) if value == wanted), -1)


def _whole_numbers(value: Any) -> Any:
    """Protocol buffers know no whole numbers in JSON."""
    if isinstance(value, dict):
        return {name: _whole_numbers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


_ENVIRONMENT = cel.NewEnv(
    _describe_json_patch(),
    variables={"object": cel.Type.DYN, "variables": cel.Type.DYN},
    functions=[_position("indexOf", _first), _position("lastIndexOf", _last)],
)
