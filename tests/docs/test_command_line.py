"""docs/command-line.md agrees with the doctor: its codes, and what a finding has."""

from __future__ import annotations

import re
from pathlib import Path

from kruise_autopatch.cli.doctor import catalogue, findings

CHECKOUT = Path(__file__).resolve().parents[2]
DOCTOR = CHECKOUT / "kruise_autopatch" / "cli" / "doctor"
STATES = ("ok", "note", "problem")


def table_below(head: str) -> list[list[str]]:
    """The cells of the table whose first row begins with ``head``."""
    page = (CHECKOUT / "docs" / "command-line.md").read_text("utf-8")
    _, _, rows = page.partition(f"\n| {head}")[2].partition("|---")
    lines = rows.partition("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_code_is_listed_by_section_and_state() -> None:
    listed = {
        heading: {state: re.findall(r"`(.+?)`", cell) for state, cell in zip(STATES, cells)}
        for heading, *cells in table_below("codes about")
    }
    expected = {
        heading: {state: [c for c, k in kinds.items() if k.state == state] for state in STATES}
        for heading, kinds in catalogue.SECTIONS.items()
    }
    assert listed == expected


def test_no_code_has_two_meanings() -> None:
    source = (DOCTOR / "catalogue.py").read_text("utf-8")
    codes = re.findall(r'^ {4}"([a-z0-9-]+)": Kind\(', source, re.M)
    assert sorted(codes) == sorted(set(codes)) == sorted(catalogue.KINDS)


def test_every_code_is_used_and_no_other() -> None:
    sources = [path for path in DOCTOR.glob("*.py") if path.name != "catalogue.py"]
    source = "\n".join(path.read_text("utf-8") for path in sources)
    quoted = set(re.findall(r'"([a-z0-9]+(?:-[a-z0-9]+)*)"', source))
    assert sorted(set(catalogue.KINDS) - quoted) == []


def test_what_a_finding_has_is_described() -> None:
    report = findings.as_json([findings.found("network", "offline")])
    described = [re.findall(r"`(.+?)`", row[0])[0] for row in table_below("key |")]
    assert re.findall(r'^ {6}"(\w+)":', report, re.M) == described


def test_a_step_without_a_problem_has_nothing_to_be_done() -> None:
    good = {code: kind.advice for code, kind in catalogue.KINDS.items() if kind.state == "ok"}
    assert {code for code, advice in good.items() if advice} == set()


def test_a_problem_says_what_to_do() -> None:
    silent = [c for c, k in catalogue.KINDS.items() if k.state == "problem" and not k.advice]
    assert silent == []
