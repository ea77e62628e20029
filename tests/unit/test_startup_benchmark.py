"""What the start-up benchmark makes of its samples; the measuring needs a network and minutes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from support import fresh

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from start_up import plot, results, tables  # noqa: E402
from start_up.cases import BARE, CASES, E2B, FLOOR, INSTRUCTIONS, RECIPES, TIME, chosen  # noqa: E402
from start_up.results import Figures  # noqa: E402

BY_NAME = {case.name: case for case in CASES}
OFF, ON, PATCHED = BY_NAME["off"], BY_NAME["on"], BY_NAME[f"on, {E2B}"]


def figures(series: str = "3.11", **instructions: float) -> Figures:
    """Bare is 30 M, the floor 30.5 M, the SDK 1,030 M; the others are given."""
    samples = {BARE: [30.0], FLOOR: [30.5], E2B: [1030.0]}
    names = {"off": OFF.name, "on": ON.name, "patched": PATCHED.name}
    samples.update({names[name]: [value] for name, value in instructions.items()})
    return Figures(series, f"CPython {series}", {INSTRUCTIONS: samples}, {"ddtrace-run": "too old"})


def judged(found: Figures, name: str) -> str:
    goal = BY_NAME[name].goal
    assert goal is not None
    return results.verdict(goal, found.cost(name, goal))


@pytest.mark.parametrize(("total", "expected"), [(30.59, "+0.09 met"), (30.61, "+0.11 MISSED")])
def test_off_is_judged_over_the_floor(total: float, expected: str) -> None:
    assert judged(figures(off=total), OFF.name) == expected


@pytest.mark.parametrize(("total", "expected"), [(31.5, "+1.50 met"), (31.6, "+1.60 MISSED")])
def test_on_is_judged_over_a_bare_interpreter(total: float, expected: str) -> None:
    assert judged(figures(on=total), ON.name) == expected


@pytest.mark.parametrize(("total", "expected"), [(1050, "+2.0 % met"), (1200, "+17.0 % MISSED")])
def test_patching_is_judged_relative_to_the_import_alone(total: float, expected: str) -> None:
    assert judged(figures(patched=total), PATCHED.name) == expected


def test_what_was_not_measured_is_not_judged() -> None:
    assert judged(figures(), ON.name) == ""


def test_of_times_the_fastest_tenth_counts() -> None:
    disturbed = [20.0, 12.0, *[30.0] * 10]
    found = Figures("3.11", "", {TIME: {BARE: [10.0] * 12, ON.name: disturbed}}, {})
    assert found.extra(TIME, ON.name, BARE) == 10.0


def test_saved_samples_are_read_back(tmp_path: Path) -> None:
    before = [figures(off=30.6), figures("3.15", on=32)]
    results.save(before, tmp_path / "samples.json")
    assert results.load(tmp_path / "samples.json") == before


def test_the_report_has_a_column_for_each_python_and_says_what_was_left_out() -> None:
    report = tables.report(CASES, [figures(off=30.55), figures("3.15", off=58.0)])
    assert "| off             | at most 0.1 M over floor | +0.05 met | +27.50 MISSED |" in report
    assert "- 3.11, 3.15: ddtrace-run: too old" in report


def test_the_drawing_has_a_dot_for_each_python_and_a_ring_where_a_goal_is_missed() -> None:
    all_figures = [figures(off=30.55), figures("3.14", off=31.5), figures("3.15", off=58.0)]
    drawing = plot.drawing(CASES, all_figures)
    circles = list(ElementTree.fromstring(drawing).iter("{http://www.w3.org/2000/svg}circle"))
    titles = [title.text for circle in circles for title in circle]
    assert [title for title in titles if str(title).startswith("off,")] == [
        "off, Python 3.11: +0.55",
        "off, Python 3.14: +1.50",
        "off, Python 3.15: +28.00",
    ]
    # One in the legend, two in the panel.
    assert len([circle for circle in circles if circle.get("fill") == "none"]) == 3


def test_every_case_names_an_environment_and_cases_that_there_are() -> None:
    for case in CASES:
        assert case.environment in RECIPES
        assert set(case.others) <= set(BY_NAME)


def test_a_choice_brings_what_it_is_compared_with() -> None:
    assert [case.name for case in chosen(["off, no .pyc"])] == [BARE, FLOOR, "off, no .pyc"]


@pytest.mark.parametrize(
    ("option", "complaint"),
    [("--only=nonsense", "no case has this in its name"), ("--pythons=3.1", "no Python 3.1 here")],
)
def test_a_choice_of_nothing_is_an_error_in_a_line(option: str, complaint: str) -> None:
    command = [sys.executable, str(BENCHMARKS / "startup.py"), option]
    done = subprocess.run(command, capture_output=True, text=True, timeout=fresh.PATIENCE)
    assert done.returncode == 1
    assert complaint in done.stderr.splitlines()[-1]
