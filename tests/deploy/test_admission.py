"""The admission policy: what it adds to Pods, and what it leaves alone."""

from __future__ import annotations

import copy
import json
import os
import subprocess
from typing import Any

import pytest

from deploy import admission
from deploy.admission import ENABLED, pod
from deploy.manifests import DEPLOY, KUBECTL, LABEL, MOUNTED, Manifest, load

NAME = "kruise-autopatch"
PYTHON_PATH = f"{MOUNTED}/tree/kruise_autopatch/injected"
MOUNT = {"name": NAME, "mountPath": MOUNTED, "readOnly": True}
SOURCES = [
    {"configMapRef": {"name": NAME, "optional": True}},
    {"prefix": "E2B_", "secretRef": {"name": NAME, "optional": True}},
]


def labelled(manifest: Manifest, **metadata: Any) -> Manifest:
    return {**manifest, "metadata": {**manifest["metadata"], **metadata}}


PLAIN = pod({})
SEVERAL = pod(
    {},
    {
        "env": [
            {"name": "E2B_DOMAIN", "value": "own.test"},
            {"name": "PYTHONPATH", "value": "/app:/lib"},
            {"name": "LAST", "value": "$(PYTHONPATH)"},
        ],
        "envFrom": [{"configMapRef": {"name": "own"}}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    },
    {"env": [{"name": "PYTHONPATH"}]},
    initContainers=[{"name": "first", "image": "i"}, {"name": "second", "image": "i"}],
    volumes=[{"name": "data", "emptyDir": {}}],
)
_REFERENCE = {"configMapKeyRef": {"name": "own", "key": "path"}}
_ELSEWHERE = {"env": [{"name": "PYTHONPATH", "valueFrom": _REFERENCE}]}
FROM_ELSEWHERE = pod(_ELSEWHERE)
TWICE = pod({"env": [{"name": "PYTHONPATH", "value": "/a"}, {"name": "PYTHONPATH", "value": "/b"}]})
# What the policy calls its own volume and container.
OWN_VOLUME = {"name": NAME, "configMap": {"name": "own"}}
CASES = {
    "plain": PLAIN,
    "an application of our name": pod({"name": NAME}, {}),
    "an init container of our name": pod({}, initContainers=[{"name": NAME, "image": "i"}]),
    "a volume of our name": pod(
        {"volumeMounts": [{"name": NAME, "mountPath": "/own"}]}, volumes=[OWN_VOLUME]
    ),
    "all of them": pod(
        {"name": NAME, "volumeMounts": [{"name": NAME, "mountPath": "/volume"}]},
        initContainers=[{"name": f"{NAME}-2", "image": "i"}],
        volumes=[OWN_VOLUME, {"name": f"{NAME}-2", "emptyDir": {}}],
    ),
    "several": SEVERAL,
    "from elsewhere": FROM_ELSEWHERE,
    "one of two from elsewhere": pod({}, _ELSEWHERE),
    "twice": TWICE,
    "as root": pod({}, securityContext={"runAsUser": 0}),
    "windows": pod({}, os={"name": "windows"}),
    "windows nodes": pod({}, nodeSelector={"kubernetes.io/os": "windows"}),
    "windows nodes of old": pod({}, nodeSelector={"beta.kubernetes.io/os": "windows"}),
    "linux nodes": pod({}, nodeSelector={"kubernetes.io/os": "linux", "disk": "ssd"}),
    "linux": pod({}, os={"name": "linux"}),
    "opted in": labelled(PLAIN, labels={LABEL: "enabled"}),
    "opted out": labelled(PLAIN, labels={LABEL: "disabled"}),
    "other labels": labelled(PLAIN, labels={"app": "x"}, annotations={"a": "b"}),
}


def admitted(manifest: Manifest, labels: dict[str, str] = ENABLED) -> Manifest:
    before = copy.deepcopy(manifest)
    found = admission.admit(manifest, labels)
    assert manifest == before
    return found


def containers(manifest: Manifest) -> list[Manifest]:
    return manifest["spec"]["containers"]  # type: ignore[no-any-return]


def test_a_plain_pod_gets_everything_and_nothing_else() -> None:
    spec = admitted(PLAIN)["spec"]
    assert spec["containers"] == [
        {
            "name": "c0",
            "image": "i",
            "env": [{"name": "PYTHONPATH", "value": PYTHON_PATH}],
            "envFrom": SOURCES,
            "volumeMounts": [MOUNT],
        }
    ]
    assert spec["volumes"] == [{"name": NAME, "emptyDir": {}}]
    (ours,) = spec["initContainers"]
    assert ours["volumeMounts"] == [{"name": NAME, "mountPath": "/volume"}]
    assert spec.keys() == {"containers", "volumes", "initContainers"}


def test_every_container_gets_it_the_init_containers_after_ours() -> None:
    spec = admitted(SEVERAL)["spec"]
    assert [c["name"] for c in spec["initContainers"]] == [NAME, "first", "second"]
    for container in [*spec["containers"], *spec["initContainers"][1:]]:
        assert MOUNT in container["volumeMounts"]
        assert container["envFrom"][:2] == SOURCES
        assert [e["name"] for e in container["env"]].count("PYTHONPATH") == 1


def test_what_a_container_sets_itself_wins() -> None:
    own = containers(admitted(SEVERAL))[1]
    # `env` wins over `envFrom`, and of that the last.
    assert {"name": "E2B_DOMAIN", "value": "own.test"} in own["env"]
    assert own["envFrom"] == [*SOURCES, {"configMapRef": {"name": "own"}}]
    assert own["volumeMounts"] == [{"name": "data", "mountPath": "/data"}, MOUNT]


def test_a_python_path_is_kept_after_ours_and_where_it_is() -> None:
    kept = containers(admitted(SEVERAL))[1]["env"]
    assert kept[1] == {"name": "PYTHONPATH", "value": f"{PYTHON_PATH}:/app:/lib"}


@pytest.mark.parametrize("value", [{}, {"value": ""}])
def test_an_empty_python_path_does_not_become_the_current_directory(value: dict[str, str]) -> None:
    (changed,) = containers(admitted(pod({"env": [{"name": "PYTHONPATH", **value}]})))
    assert changed["env"] == [{"name": "PYTHONPATH", "value": PYTHON_PATH}]


def test_of_a_python_path_that_is_set_twice_the_one_in_force_is_changed() -> None:
    values = [e["value"] for e in containers(admitted(TWICE))[0]["env"]]
    assert values == ["/a", f"{PYTHON_PATH}:/b"]


def test_a_container_whose_python_path_comes_from_elsewhere_is_left_alone() -> None:
    assert admitted(FROM_ELSEWHERE) == FROM_ELSEWHERE
    other, same = containers(admitted(CASES["one of two from elsewhere"]))
    assert MOUNT in other["volumeMounts"]
    assert same == CASES["one of two from elsewhere"]["spec"]["containers"][1]


@pytest.mark.parametrize("name", CASES)
def test_again_it_changes_nothing(name: str) -> None:
    once = admitted(CASES[name])
    assert admitted(once) == once


def test_a_container_that_was_added_later_gets_it_too() -> None:
    once = admitted(PLAIN)
    once["spec"]["containers"].append({"name": "sidecar", "image": "i"})
    twice = admitted(once)
    assert MOUNT in containers(twice)[1]["volumeMounts"]
    assert containers(twice)[0] == containers(once)[0]
    for field in ("volumes", "initContainers"):
        assert twice["spec"][field] == once["spec"][field]


# Namespaces that have not opted in.
others = pytest.mark.parametrize(
    "labels", [{}, {LABEL: "disabled"}, {LABEL: ""}, {"other": "enabled"}]
)


@others
def test_a_namespace_without_the_label_is_left_alone(labels: dict[str, str]) -> None:
    assert admitted(SEVERAL, labels) == SEVERAL


@others
def test_a_pod_can_opt_in(labels: dict[str, str]) -> None:
    assert admitted(CASES["opted in"], labels) == admitted(CASES["opted in"])
    assert admitted(CASES["opted in"])["spec"] == admitted(PLAIN)["spec"]


@pytest.mark.parametrize("name", CASES)
def test_no_two_things_have_one_name(name: str) -> None:
    spec = admitted(CASES[name])["spec"]
    for field in (["containers", "initContainers"], ["volumes"]):
        names = [thing["name"] for key in field for thing in spec.get(key, [])]
        assert len(names) == len(set(names))
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        paths = [mount["mountPath"].rstrip("/") for mount in container.get("volumeMounts", [])]
        assert len(paths) == len(set(paths))


@pytest.mark.parametrize(
    "name", ["an application of our name", "an init container of our name", "all of them"]
)
def test_a_container_that_happens_to_have_our_name_is_like_any_other(name: str) -> None:
    spec = admitted(CASES[name])["spec"]
    first, *others = spec["initContainers"]
    assert first["image"].startswith("registry.example.com/kruise-autopatch:")
    (copied_to,) = [m["name"] for m in first["volumeMounts"] if m["mountPath"] == "/volume"]
    for container in [*spec["containers"], *others]:
        mounted = {m["mountPath"]: m["name"] for m in container["volumeMounts"]}
        assert mounted[MOUNTED] == copied_to


def test_a_volume_that_happens_to_have_our_name_stays_what_it_is() -> None:
    spec = admitted(CASES["a volume of our name"])["spec"]
    assert spec["volumes"] == [OWN_VOLUME, {"name": f"{NAME}-2", "emptyDir": {}}]
    assert spec["initContainers"][0]["volumeMounts"][0]["name"] == f"{NAME}-2"
    assert spec["containers"][0]["volumeMounts"] == [
        {"name": NAME, "mountPath": "/own"},
        {**MOUNT, "name": f"{NAME}-2"},
    ]


@pytest.mark.parametrize("path", ["/", "//", "/./", "/."])
def test_a_container_that_mounts_something_there_is_left_alone(path: str) -> None:
    own = {"volumeMounts": [{"name": "own", "mountPath": f"{MOUNTED}{path}"}]}
    same, other = containers(admitted(pod(own, {})))
    assert same == {"name": "c0", "image": "i", **own}
    assert MOUNT in other["volumeMounts"]
    for near in (
        "/opt/kruise-autopatches",
        "/opt/kruise-autopatch/own",
        "/srv/opt/kruise-autopatch",
    ):
        own = {"volumeMounts": [{"name": "own", "mountPath": near}]}
        assert MOUNT in containers(admitted(pod(own)))[0]["volumeMounts"]


def test_the_example_that_was_written_by_hand_is_left_alone() -> None:
    (example,) = load(DEPLOY / "examples" / "injected.yaml")
    assert admitted(example) == example


def test_a_pod_can_opt_out() -> None:
    assert admitted(CASES["opted out"]) == CASES["opted out"]
    assert admitted(CASES["other labels"]) != CASES["other labels"]


def test_windows_and_the_mirrors_of_static_pods_are_left_alone() -> None:
    assert admitted(CASES["windows"]) == CASES["windows"]
    for name in ("windows nodes", "windows nodes of old"):
        assert admitted(CASES[name]) == CASES[name]
    for name in ("linux", "linux nodes"):
        assert admitted(CASES[name]) != CASES[name]
    mirror = labelled(PLAIN, annotations={"kubernetes.io/config.mirror": "x"})
    assert admitted(mirror) == mirror


def test_our_container_fits_the_restricted_standard_and_any_quality_of_service() -> None:
    ours = admitted(PLAIN)["spec"]["initContainers"][0]
    context = ours["securityContext"]
    # Both, since the Pod's own may say root.
    assert (context["runAsNonRoot"], context["runAsUser"]) == (True, 65534)
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert ours["resources"]["requests"] == ours["resources"]["limits"]


# --- a real API server ------------------------------------------------------------------------

# A kubeconfig for a cluster, to which `kubectl apply -k deploy/admission/…` has been applied and
# whose two namespaces autopatch-on, with the label, and autopatch-off exist. Nothing is created.
CLUSTER = os.environ.get("KRUISE_TEST_KUBECONFIG")


@pytest.mark.skipif(not CLUSTER, reason="KRUISE_TEST_KUBECONFIG names no cluster")
@pytest.mark.parametrize("name", CASES)
def test_an_api_server_makes_the_same_of_it(name: str) -> None:
    def stored(manifest: Manifest, namespace: str) -> Any:
        command = ["create", f"--kubeconfig={CLUSTER}", f"--namespace={namespace}"]
        done = subprocess.run(
            [KUBECTL, *command, "--dry-run=server", "--output=json", "--filename=-"],
            input=json.dumps(manifest),
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)["spec"]

    expected = stored(admitted(CASES[name]), "autopatch-off")
    assert stored(CASES[name], "autopatch-on") == expected
