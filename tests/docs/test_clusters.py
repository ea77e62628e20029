"""Docs, manifests, examples and messages name OpenKruise's Services and ports as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.openkruise import GATEWAY, HELM, KUSTOMIZE, NAMESPACE, PORT, SERVICES, Service

CHECKOUT = Path(__file__).resolve().parents[2]
WAYS_IN = CHECKOUT / "docs" / "ways-in.md"
SUFFIXES = (".md", ".py", ".yaml", ".yml", ".json", ".txt", ".ini")
# A Service of OpenKruise as a host, whatever follows it.
HOST = re.compile(r"(?<![\w-])[\w-]+\.sandbox-system(?:\.svc(?:\.cluster\.local)?)?(?::\d+)?")
FORWARDED = re.compile(r"port-forward .*?\b(?:service|svc|services)/([\w-]+) (\d+):(\d+)")


def files() -> list[Path]:
    """What a user reads or applies; the tests have hosts of their own."""
    rooms = ["docs", "deploy", "examples", "kruise_autopatch", "local"]
    found = [path for room in rooms for path in (CHECKOUT / room).rglob("*")]
    found += CHECKOUT.glob("*.md")
    return [path for path in found if path.suffix in SUFFIXES and path.name != "CHANGELOG.md"]


def found(pattern: re.Pattern[str]) -> list[tuple[str, str, tuple[str, ...]]]:
    """Each match: where it is, its text, its groups."""
    return [
        (path.relative_to(CHECKOUT).as_posix(), match[0], match.groups())
        for path in files()
        for match in pattern.finditer(path.read_text("utf-8"))
    ]


def test_every_host_in_the_cluster_is_one_that_answers() -> None:
    hosts = {service.host for service in SERVICES}
    assert [(place, text) for place, text, _ in found(HOST) if text not in hosts] == []


def test_they_are_found_at_all() -> None:
    places = {place for place, text, _ in found(HOST) if text == HELM.host}
    assert places >= {
        "README.md",
        "README.zh.md",
        "deploy/chart/values.yaml",
        "deploy/components/variables/kustomization.yaml",
        "deploy/examples/in-cluster-http.yaml",
        "deploy/examples/injected.yaml",
        "docs/from-nothing.md",
        "docs/kubernetes.md",
        "docs/ways-in.md",
        "kruise_autopatch/patches/route.py",
    }


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_the_page_has_the_table(service: Service) -> None:
    rows = re.findall(r"^\|(.+)\|$", WAYS_IN.read_text("utf-8"), re.MULTILINE)
    cells = [[cell.strip() for cell in row.split("|")] for row in rows]
    (row,) = [row for row in cells if row[1:2] == [f"`{service.name}`"]]
    assert row[0].partition(",")[0] == service.installed_by
    assert row[2] == ", ".join(str(port) for port in service.ports)
    if service is not GATEWAY:
        assert row[3] == f"`{service.host}`"


def test_every_port_is_forwarded_to_one_that_is_listened_on() -> None:
    forwarded = found(FORWARDED)
    assert {place for place, _, _ in forwarded} >= {"docs/ways-in.md", "docs/from-nothing.md"}
    for place, text, (name, _, port) in forwarded:
        assert name in (HELM.name, KUSTOMIZE.name), (place, text)
        assert (int(port), f"-n {NAMESPACE}" in text) == (PORT, True), (place, text)


def test_one_secret_and_one_config_map_have_our_name_everywhere() -> None:
    created = re.compile(r"create secret generic (\S+) --from-literal=(\w+)=")
    assert {groups for _, _, groups in found(created)} == {("kruise-autopatch", "API_KEY")}
    asked = re.compile(r"secretKeyRef:\s+name: (\S+)\s+key: (\S+)")
    assert {groups for _, _, groups in found(asked)} == {("kruise-autopatch", "API_KEY")}
    assert {g for _, _, g in found(re.compile(r"create configmap (kruise\S+)"))} == {
        ("kruise-autopatch",)
    }
