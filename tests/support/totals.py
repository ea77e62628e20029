"""Add up the JUnit reports of the tox environments: which ran, and how many tests passed.

Usage: totals.py DIRECTORY
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree


def main(directory: Path) -> None:
    passed = failed = skipped = 0
    environments = []
    for report in sorted(directory.glob("junit-*.xml")):
        environments.append(report.stem.partition("-")[2])
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):
            bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            left_out = int(suite.get("skipped", 0))
            failed += bad
            skipped += left_out
            passed += int(suite.get("tests", 0)) - bad - left_out
    print(f"environments that ran tests: {', '.join(environments) or 'none'}")
    print(f"{failed} failed, {passed} passed, {skipped} skipped")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
