"""What kruise-autopatch costs at interpreter start-up, and what it adds to ``import e2b``.

Run ``python benchmarks/startup.py`` on Linux; ``README.md`` beside this file explains the table.
The exit status tells whether everything could be run, not whether the targets were met.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

CHECKOUT = Path(__file__).resolve().parent.parent
PTH = "kruise_autopatch.pth"
SWITCH = "KRUISE_E2B_PATCH"
# Set where the switch is not, so that every process starts with as many bytes of environment.
PLACEBO = "X" * len(SWITCH)
FLOOR_LINE = f'import os; os.environ.get("{SWITCH}") and None\n'

# The cheapest of valgrind's tools that counts every instruction.
COUNTER = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")

# Imports of the SDK take long and their targets are relative: fewer rounds will do.
ROUNDS_PER_IMPORT = 2


# --- what is compared ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """The most that a case may cost over its baseline."""

    quantity: str
    limit: float
    relative: bool = False  # to what the baseline costs over a bare interpreter, in per cent

    def __str__(self) -> str:
        return f"{self.quantity} <= {self.limit:g}{' %' if self.relative else ''}"


@dataclass(frozen=True)
class Case:
    """One way to start Python, and the other one it is compared with."""

    name: str
    environment: str
    baseline: str | None = None
    code: str = "pass"
    on: bool = False
    targets: Sequence[Target] = ()

    @property
    def imports_sdk(self) -> bool:
        return self.code != "pass"


OFF = (Target("M instr", 0.2),)
ON = (Target("ms", 0.5), Target("M instr", 2), Target("MB", 0.3))
PATCHED = (Target("ms", 5, relative=True), Target("M instr", 5, relative=True))

BARE = "bare interpreter"
FLOOR = "floor: a .pth that tests a variable"
E2B = "import e2b"
INTERPRETER = "import e2b_code_interpreter"

# The names of the environments are equally long, so that all paths are.
CASES = (
    Case(BARE, "bare"),
    Case(FLOOR, "line", BARE),
    Case("off", "ours", FLOOR, targets=OFF),
    Case("off, without .pyc", "cold", FLOOR, targets=OFF),
    Case("on", "ours", BARE, on=True, targets=ON),
    Case("on, without .pyc", "cold", BARE, on=True),
    Case(E2B, "bare", BARE, E2B),
    Case(f"on, {E2B}", "ours", E2B, E2B, on=True, targets=PATCHED),
    Case(INTERPRETER, "bare", BARE, INTERPRETER),
    Case(f"on, {INTERPRETER}", "ours", INTERPRETER, INTERPRETER, on=True, targets=PATCHED),
)


# --- the environments ---------------------------------------------------------------------------


def run(
    *command: object, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; if it fails, show all that it said and fail too."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)}\nfailed:\n{done.stdout}{done.stderr}")
    return done


class Site:
    """A directory with equal virtual environments, which differ only in what is measured."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.desk = root / "desk"  # an empty working directory
        self.desk.mkdir()
        self._uv = shutil.which("uv")
        wheel = self._build_wheel()
        for name in sorted({case.environment for case in CASES}):
            note(f"environment {name}")
            self._create(name, wheel)
        for name in ("bare", "line"):
            self._pip(name, "uninstall", *([] if self._uv else ["-y"]), "kruise-autopatch")
        (self._packages("line") / PTH).write_text(FLOOR_LINE)
        for cache in (self._packages("cold") / "kruise_autopatch").rglob("__pycache__"):
            shutil.rmtree(cache)

    def python(self, environment: str) -> Path:
        return self.root / environment / "bin" / "python"

    def versions(self) -> str:
        """The releases that were installed."""
        names = ("kruise-autopatch", "e2b", "e2b-code-interpreter", "wrapt")
        code = (
            "import sys, importlib.metadata as m\n"
            "print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]))"
        )
        return run(self.python("ours"), "-c", code, *names).stdout.strip()

    def _build_wheel(self) -> Path:
        """Build in a copy, because setuptools leaves its litter beside the sources."""
        note("wheel")
        copy, dist = self.root / "copy", self.root / "dist"
        shutil.copytree(CHECKOUT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        if self._uv:
            run(self._uv, "build", "--wheel", "--out-dir", dist, copy)
        else:
            run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", dist, copy)
        (wheel,) = dist.glob("*.whl")
        return wheel

    def _create(self, name: str, wheel: Path) -> None:
        """Not with ``uv venv``: its environments have a start-up file of their own."""
        run(sys.executable, "-m", "venv", "--without-pip", self.root / name)
        compiled = ["--compile-bytecode"] if self._uv else []
        self._pip(name, "install", *compiled, f"{wheel}[e2b,code-interpreter]")

    def _pip(self, name: str, command: str, *arguments: str) -> None:
        python = self.python(name)
        if self._uv:
            run(self._uv, "pip", command, "--python", python, *arguments)
        else:
            run(sys.executable, "-m", "pip", "--python", python, command, *arguments)

    def _packages(self, name: str) -> Path:
        (packages,) = (self.root / name).glob("lib/python3*/site-packages")
        return packages


# --- the gauges ---------------------------------------------------------------------------------


def variables(case: Case) -> Mapping[str, str]:
    """The whole environment of a measured process."""
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "E2B_DOMAIN": "sandboxes.example.com",
        (SWITCH if case.on else PLACEBO): "1",
    }


def start(case: Case, site: Site, *prefix: str, code: str = "") -> subprocess.CompletedProcess[str]:
    """Run one process of the case, under the tool that ``prefix`` names."""
    python = site.python(case.environment)
    return run(*prefix, python, "-c", code or case.code, cwd=site.desk, env=variables(case))


def milliseconds(case: Case, site: Site) -> float:
    begin = time.perf_counter()
    start(case, site)
    return (time.perf_counter() - begin) * 1e3


def megabytes(case: Case, site: Site) -> float:
    """The peak resident set, as the process itself sees it.

    ``os.wait4`` would count the memory of this process, which the child shares until its exec.
    """
    code = f"{case.code}\nprint(open('/proc/self/status').read())"
    found = re.search(r"VmHWM:\s+(\d+) kB", start(case, site, code=code).stdout)
    if found is None:
        sys.exit("/proc/self/status has no VmHWM: run this on Linux.")
    return int(found[1]) / 1024


def million_instructions(case: Case, site: Site) -> float:
    """Those of the whole process; the counts repeat to some 0.02 %."""
    report = start(case, site, *COUNTER).stderr
    found = re.search(r"I\s+refs:\s+([\d,]+)", report)
    if found is None:
        sys.exit(f"valgrind counted nothing:\n{report}")
    return int(found[1].replace(",", "")) / 1e6


Gauge = Callable[[Case, Site], float]
# By case, then by round.
Samples = dict[str, dict[int, float]]


def measure(gauge: Gauge, site: Site, rounds: int, rounds_per_import: int = 1) -> Samples:
    """Each round takes every case once, in a new order, so that they share the machine's moods."""
    samples: Samples = {case.name: {} for case in CASES}
    shuffled = random.Random(0)
    for number in range(rounds):
        note(f"{gauge.__name__}, round {number + 1} of {rounds}")
        for case in shuffled.sample(CASES, len(CASES)):
            if not case.imports_sdk or number % rounds_per_import == 0:
                samples[case.name][number] = gauge(case, site)
    return samples


# --- the table ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Results:
    """The samples of each quantity, and the figures drawn from them."""

    samples: Mapping[str, Samples]

    def typical(self, quantity: str, case: str) -> float | None:
        samples = self.samples.get(quantity)
        return median(samples[case].values()) if samples else None

    def extra(self, quantity: str, case: str, baseline: str) -> float | None:
        """The median difference within a round, which a slow spell of the machine spares."""
        samples = self.samples.get(quantity)
        if not samples:
            return None
        mine, theirs = samples[case], samples[baseline]
        return median(mine[number] - theirs[number] for number in mine.keys() & theirs.keys())

    def ratio(self, quantity: str, case: Case) -> float | None:
        mine = self.typical(quantity, case.name)
        theirs = self.typical(quantity, case.baseline or case.name)
        return mine / theirs if mine and theirs else None

    def verdict(self, case: Case, target: Target) -> str:
        """Whether the target is met, and for a relative one by what."""
        assert case.baseline is not None
        cost = self.extra(target.quantity, case.name, case.baseline)
        if cost is None:
            return f"{target}: not measured"
        if target.relative:
            whole = self.extra(target.quantity, case.baseline, BARE)
            assert whole is not None
            cost *= 100 / whole
        found = f" ({cost:+.1f} %)" if target.relative else ""
        return f"{target}: {'met' if cost <= target.limit else 'MISSED'}{found}"


HEADINGS = (
    "start of Python",
    "compared with",
    "ms",
    "extra ms",
    "M instr",
    "extra M instr",
    "extra MB",
    "ratio",
    "targets",
)


def rows(results: Results) -> Iterator[Sequence[str]]:
    """The lines of the table; ratios are of instructions where there are any."""
    counted = "M instr" if "M instr" in results.samples else "ms"
    for case in CASES:
        extra = {
            quantity: results.extra(quantity, case.name, case.baseline) if case.baseline else None
            for quantity in ("ms", "M instr", "MB")
        }
        yield (
            case.name,
            case.baseline or "",
            figure(results.typical("ms", case.name), "{:.2f}"),
            figure(extra["ms"], "{:+.2f}"),
            figure(results.typical("M instr", case.name), "{:.2f}"),
            figure(extra["M instr"], "{:+.2f}"),
            figure(extra["MB"], "{:+.2f}"),
            figure(results.ratio(counted, case) if case.baseline else None, "{:.3f}"),
            "; ".join(results.verdict(case, target) for target in case.targets),
        )


def figure(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def print_table(lines: Sequence[Sequence[str]]) -> None:
    """As Markdown, aligned for a terminal: figures to the right, words to the left."""
    widths = [max(map(len, column)) for column in zip(HEADINGS, *lines)]
    words = {0, 1, len(HEADINGS) - 1}
    rule = ["-" * w if i in words else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    for line in (HEADINGS, rule, *lines):
        cells = (
            cell.ljust(width) if i in words else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths))
        )
        print(f"| {' | '.join(cells)} |")


def processor() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def note(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


# --- all of it ----------------------------------------------------------------------------------


def check_that_it_patches(site: Site) -> None:
    """A hook that does nothing would be the cheapest of all."""
    code = "import sys, {0}, kruise_autopatch as k; sys.exit(not k.status().patches)"
    for case in CASES:
        if case.on and case.imports_sdk:
            start(case, site, code=code.format(case.code.split()[-1]))


def take_all(site: Site, rounds: int, counts: int) -> Results:
    samples = {
        "ms": measure(milliseconds, site, rounds, ROUNDS_PER_IMPORT),
        "MB": measure(megabytes, site, rounds, ROUNDS_PER_IMPORT),
    }
    if shutil.which("valgrind"):
        samples["M instr"] = measure(million_instructions, site, counts)
    else:
        print("valgrind is not installed: no instructions are counted.\n")
    return Results(samples)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What kruise-autopatch costs at start-up.")
    parser.add_argument("--rounds", type=int, default=100, help="of time and memory (100)")
    parser.add_argument("--quick", action="store_true", help="a rough look: 12 rounds, 1 count")
    chosen = parser.parse_args()
    if chosen.rounds < 1:
        parser.error("--rounds must be 1 or more")
    return chosen


def main() -> None:
    chosen = arguments()
    rounds, counts = (12, 1) if chosen.quick else (chosen.rounds, 3)
    # A short path: the interpreter handles its length many times.
    with tempfile.TemporaryDirectory(prefix="startup-") as root:
        site = Site(Path(root))
        check_that_it_patches(site)
        for case in CASES:
            start(case, site)  # warms the file cache
        results = take_all(site, rounds, counts)
        print(f"{time.strftime('%Y-%m-%d')}, {processor()}, {os.cpu_count()} CPUs")
        print(f"CPython {platform.python_version()}, {site.versions()}; {rounds} rounds\n")
        print_table(list(rows(results)))
    print("\nTrust the instructions; differences under 0.3 ms drown in the noise of most machines.")


if __name__ == "__main__":
    main()
