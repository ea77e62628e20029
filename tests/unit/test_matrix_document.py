"""What the matrix writes of connections."""

from __future__ import annotations

from typing import Any

from packaging.version import Version

from matrix.document import Outcome, _sharing
from matrix.releases import Environment

OLD, NEW = {"API": ["1.1"]}, {"API": ["2"], "Jupyter": ["1.1", "2"]}


def outcome(e2b: str, asynchronous: dict[str, list[str]], together: int) -> Outcome:
    other = Version("1.0")
    report: dict[str, Any] = {
        "spoken": {"sync": OLD, "async": asynchronous},
        "together": {"sync": 1, "async": together},
    }
    return Environment(Version(e2b), other, other, "3.11"), report, {}


def test_consecutive_releases_that_do_the_same_have_one_line() -> None:
    outcomes = [outcome("2.8.0", OLD, 1), outcome("2.9.0", OLD, 1), outcome("2.21.0", NEW, 49)]
    lines = [line for line in _sharing(outcomes) if line.startswith("| 2")]
    assert lines == [
        "| 2.21.0 | sync: 1.1, async: 2 | - | - | sync: -, async: 1.1, 2 | sync: 1, async: 49 |",
        "| 2.8.0 to 2.9.0 | 1.1 | - | - | - | 1 |",
    ]
