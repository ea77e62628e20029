"""How a start of Python is measured."""

from __future__ import annotations

import os
import random
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from start_up.cases import INSTRUCTIONS, MEMORY, MODULES, SWITCH, TIME, Case
from start_up.environments import Failed, Site, note, run

# Set where the switch is not, so that every process starts with as many bytes of environment.
_PLACEBO = "X" * len(SWITCH)

# The cheapest of valgrind's tools that counts every instruction, in forked processes too.
_COUNTER = (
    "valgrind",
    "--tool=cachegrind",
    "--cache-sim=no",
    "--cachegrind-out-file=/dev/null",
    "--trace-children=yes",
)

# valgrind forgets what it counted when a program becomes another one. So a launcher is counted
# apart, up to the moment at which it would become the program.
_LAUNCHER_ALONE = """
import os, sys
os.execl = lambda *arguments: os._exit(0)
del sys.argv[0]
exec(open(sys.argv[0]).read())
"""

# By case.
Samples = dict[str, list[float]]


def variables(case: Case, site: Site) -> Mapping[str, str]:
    """The whole environment of a measured process."""
    own = {
        name: value.replace("{site}", str(site.packages(case.environment)))
        for name, value in case.variables.items()
    }
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "E2B_DOMAIN": "sandboxes.example.com",
        **({} if SWITCH in own else {_PLACEBO: "1"}),
        **own,
    }


def start(case: Case, site: Site, *prefix: str, code: str = "") -> subprocess.CompletedProcess[str]:
    """Run one process of the case, under the tool that ``prefix`` names."""
    launcher = [site.program(case.environment, case.launcher)] if case.launcher else []
    return run(
        *prefix,
        *launcher,
        site.program(case.environment),
        "-c",
        code or case.code,
        cwd=site.desk,
        env=variables(case, site),
    )


def milliseconds(case: Case, site: Site) -> float:
    begun = time.perf_counter()
    start(case, site)
    return (time.perf_counter() - begun) * 1e3


def megabytes(case: Case, site: Site) -> float:
    """The peak resident set, as the process itself sees it.

    ``os.wait4`` would count the memory of this process, which the child shares until its exec.
    """
    code = f"{case.code}\nprint(open('/proc/self/status').read())"
    found = re.search(r"VmHWM:\s+(\d+) kB", start(case, site, code=code).stdout)
    if found is None:
        raise Failed("/proc/self/status has no VmHWM: run this on Linux.")
    return int(found[1]) / 1024


def modules(case: Case, site: Site) -> float:
    code = f"import sys\n{case.code}\nprint(len(sys.modules))"
    return int(start(case, site, code=code).stdout.split()[-1])


def million_instructions(case: Case, site: Site) -> float:
    """Those of all its processes; the counts repeat to some 0.02 %."""
    counted = _counted(start(case, site, *_COUNTER).stderr)
    if case.launcher:
        python = site.program(case.environment)
        launcher = site.program(case.environment, case.launcher)
        command = (*_COUNTER, python, "-c", _LAUNCHER_ALONE, launcher, python, "-c", case.code)
        counted += _counted(run(*command, cwd=site.desk, env=variables(case, site)).stderr)
    return counted


def _counted(report: str) -> float:
    """The sum of what valgrind's reports say, one for each process."""
    found = re.findall(r"I\s+refs:\s+([\d,]+)", report)
    if not found:
        raise Failed(f"valgrind counted nothing:\n{report}")
    return sum(int(count.replace(",", "")) for count in found) / 1e6


Gauge = Callable[[Case, Site], float]
GAUGES: Mapping[str, Gauge] = {
    INSTRUCTIONS: million_instructions,
    TIME: milliseconds,
    MODULES: modules,
    MEMORY: megabytes,
}


def in_rounds(
    gauge: Gauge, cases: Sequence[Case], site: Site, rounds: Mapping[str, int]
) -> Samples:
    """Each round takes every case once, in a new order, so that they share the machine's moods.

    ``rounds`` says how many for each case; the slow ones take part in the first rounds only.
    """
    samples: Samples = {case.name: [] for case in cases}
    shuffled = random.Random(0)
    for number in range(max(rounds.values())):
        note(f"{site.interpreter.series}: {gauge.__name__}, round {number + 1}")
        for case in shuffled.sample(cases, len(cases)):
            if number < rounds[case.name]:
                samples[case.name] += _attempt(gauge, case, site)
    return samples


def at_once(gauge: Gauge, cases: Sequence[Case], site: Site, rounds: Mapping[str, int]) -> Samples:
    """As :func:`in_rounds`, on all CPUs: for what does not depend on how busy the machine is."""
    note(f"{site.interpreter.series}: {gauge.__name__}")
    jobs = [case for case in cases for _ in range(rounds[case.name])]
    samples: Samples = {case.name: [] for case in cases}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for case, found in zip(jobs, pool.map(lambda case: _attempt(gauge, case, site), jobs)):
            samples[case.name] += found
    return samples


def _attempt(gauge: Gauge, case: Case, site: Site) -> list[float]:
    """One sample; none if it cannot be taken of another package, such as under valgrind."""
    try:
        return [gauge(case, site)]
    except Failed as failure:
        if not case.foreign:
            raise
        note(f"{site.interpreter.series}: {gauge.__name__} of {case.name}: {failure}")
        return []
