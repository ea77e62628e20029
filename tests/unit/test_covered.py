"""Which modules the tests reach too little of is said, and is a failure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support import covered


def _report(directory: Path, **shares: float) -> Path:
    files = {name: {"summary": {"percent_covered": share}} for name, share in shares.items()}
    path = directory / "report.json"
    path.write_text(json.dumps({"files": files, "totals": {"percent_covered": 95.0}}))
    return path


def test_it_is_enough_if_it_is_enough_of_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert covered.main(_report(tmp_path, a=90.0, b=100.0)) == 0
    assert capsys.readouterr().out == " 95.0 % of all 2 modules; 0 have less than they should\n"


def test_each_with_less_is_named_the_least_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert covered.main(_report(tmp_path, a=89.9, b=100.0, c=7.0)) == 1
    assert capsys.readouterr().out.splitlines() == [
        "  7.0 %, of at least 90: c",
        " 89.9 %, of at least 90: a",
        " 95.0 % of all 3 modules; 2 have less than they should",
    ]
