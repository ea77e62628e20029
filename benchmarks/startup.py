"""What kruise-autopatch costs at interpreter start-up, beside other packages of its kind.

Run ``python benchmarks/startup.py`` on Linux; ``README.md`` beside this file explains the tables.
The exit status tells whether everything could be run, not whether the goals were met.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from start_up import plot, results, tables
from start_up.cases import CASES, INSTRUCTIONS, MEMORY, MODULES, TIME, Case, chosen
from start_up.environments import (
    Failed,
    Interpreter,
    LeftOut,
    Site,
    build_wheel,
    interpreters,
    note,
)
from start_up.gauges import GAUGES, at_once, in_rounds, start
from start_up.results import Figures

# A start that takes longer is measured less often.
SLOW_MS = 100
# How often: quick starts, slow ones.
ROUNDS = {TIME: (40, 8), MEMORY: (5, 3), INSTRUCTIONS: (3, 1), MODULES: (1, 1)}
QUICK_ROUNDS = {TIME: (10, 3), MEMORY: (1, 1), INSTRUCTIONS: (1, 1), MODULES: (1, 1)}


def measured(
    root: Path, interpreter: Interpreter, wheel: Path, wanted: Sequence[Case], quick: bool
) -> Figures:
    """Everything about one Python."""
    site = Site(root / interpreter.series, interpreter, wheel)
    cases: list[Case] = []
    left_out: dict[str, str] = {}
    slow: dict[str, bool] = {}
    for case in wanted:
        try:
            site.prepare(case)
            if case.patches:
                check_that_it_patches(case, site)
            start(case, site)  # warms the file cache
            slow[case.name] = GAUGES[TIME](case, site) > SLOW_MS
            cases.append(case)
        except LeftOut as reason:
            left_out[case.name] = str(reason)
        except Failed as failure:
            if not case.foreign:
                raise
            left_out[case.name] = f"it does not run: {str(failure).splitlines()[-1]}"
    about = f"CPython {interpreter.version}: {site.versions()}"
    samples = {}
    for quantity, rounds in (QUICK_ROUNDS if quick else ROUNDS).items():
        if quantity == INSTRUCTIONS and not shutil.which("valgrind"):
            continue
        take = at_once if quantity in (INSTRUCTIONS, MODULES) else in_rounds
        by_case = {case.name: rounds[slow[case.name]] for case in cases}
        samples[quantity] = take(GAUGES[quantity], cases, site, by_case)
    return Figures(interpreter.series, about, samples, left_out)


def check_that_it_patches(case: Case, site: Site) -> None:
    """A hook that does nothing would be the cheapest of all."""
    code = f"{case.code}\nimport sys, kruise_autopatch as k; sys.exit(not k.status().patches)"
    start(case, site, code=code)


def processor() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What kruise-autopatch costs at start-up.")
    parser.add_argument("--pythons", type=listed, default=[], help="such as 3.11,3.13 (all here)")
    parser.add_argument(
        "--only", type=listed, default=[], help="cases with these words in their names, as: off,on"
    )
    parser.add_argument("--quick", action="store_true", help="a rough look, with few rounds")
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep the samples (JSON)")
    parser.add_argument(
        "--add", type=Path, metavar="FILE", nargs="+", default=[], help="show saved samples beside"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="where to draw (an SVG)")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    cases = chosen(options.only)
    if not cases:
        sys.exit(f"no case has this in its name; there are: {'; '.join(c.name for c in CASES)}")
    if not shutil.which("valgrind"):
        note("valgrind is not installed: no instructions are counted.")
    begun = time.monotonic()
    try:
        pythons = interpreters(options.pythons)
        # A short path: the interpreter handles its length many times.
        with tempfile.TemporaryDirectory(prefix="startup-") as directory:
            root = Path(directory)
            wheel = build_wheel(root)
            figures: list[Figures] = []
            for python in pythons:
                figures.append(measured(root, python, wheel, cases, options.quick))
                if options.save:
                    results.save(figures, options.save)
    except (Failed, LeftOut) as problem:
        sys.exit(str(problem))
    figures += [one for file in options.add for one in results.load(file)]

    minutes = (time.monotonic() - begun) / 60
    where = f"{processor()}, {os.cpu_count()} CPUs"
    print(f"{time.strftime('%Y-%m-%d')}, {where}, {minutes:.0f} minutes\n")
    print(tables.report(cases, figures))
    if options.plot:
        options.plot.write_text(plot.drawing(cases, figures))
        print(f"Drawn: {options.plot}")


if __name__ == "__main__":
    main()
