"""What `tox -e canary` prints of an SDK that nobody has seen yet: the installed one, changed."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from matrix import canary, inventory, verdicts
from matrix.verdicts import Verdict

# What is added to a module, and the line that must name it; in the order of the kinds.
NEWS = (
    (
        "e2b_desktop/main.py",
        'def events(domain): return f"https://events.{domain}/v1"',
        "- new, URLs: `https://events.{}/v1`",
    ),
    (
        "e2b/connection_config.py",
        'EVENTS = "events.e2b-new.dev"',
        "- new, hosts: `events.e2b-new.dev`",
    ),
    ("e2b/sandbox/main.py", "events_port = 49984", "- new, ports: `events_port = 49984`"),
    (
        "e2b_code_interpreter/constants.py",
        'VARIABLE = "E2B_EVENTS_URL"',
        "- new, variables: `E2B_EVENTS_URL`",
    ),
    (
        "e2b/api/client/api/sandboxes/post_v3_sandboxes.py",
        "",
        "- new, endpoint modules: `sandboxes/post_v3_sandboxes`",
    ),
    (
        "e2b/sandbox/main.py",
        "class RegionalConfig(ConnectionConfig): pass",
        "- new, subclasses: `e2b.sandbox.main:RegionalConfig of ConnectionConfig`",
    ),
)


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the installed SDK, where an environment's interpreter would find it."""
    environment = tmp_path_factory.mktemp("environment")
    for package in inventory.PACKAGES:
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        copy = environment / "lib" / "python3.0" / "site-packages" / package
        shutil.copytree(Path(spec.origin).parent, copy)
    return environment


@pytest.fixture(scope="module")
def of_the_installed(sdk: Path) -> inventory.Inventory:
    return mentioned(sdk)


@pytest.fixture(autouse=True)
def known(
    of_the_installed: inventory.Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That copy, as it is, is the one that somebody has looked at."""
    kept = {kind: sorted(facts) for kind, facts in of_the_installed.items()}
    file = tmp_path / "known.json"
    file.write_text(json.dumps({"sdk": ["e2b==2.63.0"], **kept}), "utf-8")
    monkeypatch.setattr(canary, "KNOWN", file)


def mentioned(sdk: Path) -> inventory.Inventory:
    return inventory.of(canary._sources(sdk / "bin" / "python"))


def report(found: inventory.Inventory, **outcome: Verdict) -> list[str]:
    return list(canary._report(["e2b==3.0.0"], outcome, found))


def test_what_has_not_changed_is_the_same(of_the_installed: inventory.Inventory) -> None:
    assert report(of_the_installed)[-2:] == [
        "\nBeside e2b==2.63.0, the source mentions",
        "- the same.",
    ]


def test_everything_new_is_named_and_what_is_gone(sdk: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(sdk, changed)
    site_packages = changed / "lib" / "python3.0" / "site-packages"
    for module, code, _ in NEWS:
        with (site_packages / module).open("a", encoding="utf-8") as source:
            source.write(f"\n\n{code}\n")
    (site_packages / "e2b/api/client/api/sandboxes/post_sandboxes.py").unlink()
    assert report(mentioned(changed))[3:] == [
        *(line for _, _, line in NEWS),
        "- no longer, endpoint modules: `sandboxes/post_sandboxes`",
    ]


def test_a_surface_that_fails_is_named(of_the_installed: inventory.Inventory) -> None:
    lines = report(
        of_the_installed,
        Jupyter=Verdict(verdicts.FAILED, ("sync: no answer",)),
        fork=Verdict(verdicts.STOCK, ("`TypeError`",)),
        pty=Verdict(verdicts.PASSED),
    )
    assert lines[0] == "# e2b==3.0.0"
    assert lines[1:3] == [
        "- **Jupyter** failed: sync: no answer",
        "- **fork** broken in stock: `TypeError`",
    ]
    assert "2 of 3 groups of surfaces are right." in lines[3]
