"""Run many rounds: python -m stress.rounds [--rounds N] [--first-seed N] [--jobs N]"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stress import one_round
from support import fresh

ROUND = Path(one_round.__file__)


def failures(first_seed: int, rounds: int, jobs: int) -> Iterator[str]:
    """What went wrong in these rounds, each line with the seed that repeats it."""
    with ThreadPoolExecutor(jobs) as pool:
        for lines in pool.map(_failures_of, range(first_seed, first_seed + rounds)):
            yield from lines


def _failures_of(seed: int) -> list[str]:
    variables = dict(one_round.ENVIRONMENT)
    if seed % 4 == 3:
        variables["KRUISE_E2B_HTTPS"] = "nonsense"
    try:
        done = fresh.run(["-W", "ignore", str(ROUND), str(seed)], variables)
    except subprocess.TimeoutExpired:
        return [f"seed {seed}: did not end"]
    lines = done.stdout.splitlines()
    if done.returncode:
        lines += [f"exit status {done.returncode}", *done.stderr.splitlines()]
    return [f"seed {seed}: {line}" for line in lines]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    bad = 0
    for line in failures(options.first_seed, options.rounds, options.jobs):
        bad += 1
        print(line, flush=True)
    print(f"Python {sys.version.split()[0]}: {options.rounds} rounds, {bad} lines of complaint")
    raise SystemExit(bool(bad))


if __name__ == "__main__":
    main()
