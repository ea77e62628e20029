"""Copies of the installed SDK that have been changed, as a later release might change it."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path


def changed_copy(destination: Path, module: str, old: str, new: str) -> dict[str, str]:
    """Copy the installed e2b, replace ``old`` by ``new`` in ``module`` (a path inside the package),
    and return the variables that make an interpreter import the copy."""
    spec = importlib.util.find_spec("e2b")
    assert spec is not None
    assert spec.origin is not None
    shutil.copytree(Path(spec.origin).parent, destination / "e2b")
    source = destination / "e2b" / module
    text = source.read_text()
    assert old in text, f"{module} of this release has no {old!r}: the test would prove nothing"
    source.write_text(text.replace(old, new))
    return {"PYTHONPATH": str(destination), "PYTHONDONTWRITEBYTECODE": "1"}


def other_version(destination: Path, version: str) -> dict[str, str]:
    """Make an interpreter see the installed e2b as another release."""
    metadata = destination / f"e2b-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: e2b\nVersion: {version}\n")
    return {"PYTHONPATH": str(destination)}
