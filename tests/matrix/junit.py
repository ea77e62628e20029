"""The cells of the matrix as the tests of a JUnit report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from matrix import verdicts
from matrix.document import Outcome


def write(outcomes: Sequence[Outcome], path: Path) -> None:
    """One test for each cell; what a release does not have is none."""
    suite = ElementTree.Element("testsuite", name="matrix")
    failures = 0
    for environment, _, found in outcomes:
        for group, verdict in found.items():
            if verdict.word == verdicts.ABSENT:
                continue
            case = ElementTree.SubElement(suite, "testcase", classname=environment.name, name=group)
            if verdict.word == verdicts.FAILED:
                failures += 1
                failure = ElementTree.SubElement(case, "failure", message=verdict.word)
                failure.text = "\n".join(verdict.reasons)
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(failures))
    suite.set("errors", "0")
    suite.set("skipped", "0")
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    path.parent.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(suites).write(path, encoding="utf-8", xml_declaration=True)
