"""What an interpreter without this package may import from elsewhere, and what it may not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kruise_autopatch.start_up import borrowing


def test_only_what_is_lent_is_found_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("kruise_agents", "wrapt", "requests"):
        (tmp_path / f"{name}.py").write_text("")
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    borrowing.install(str(tmp_path))
    lender = sys.meta_path[-1]
    assert isinstance(lender, borrowing.Lender)
    found = lender.find_spec("wrapt")
    assert found is not None
    assert found.origin == str(tmp_path / "wrapt.py")
    assert lender.find_spec("kruise_autopatch") is None  # It is not there.
    assert lender.find_spec("requests") is None
