"""Change the pure modules, one little thing at a time, and see whether a unit test notices.

mutmut makes the changes and runs the tests, in one process and its forks; ``[tool.mutmut]`` of
``pyproject.toml`` names both. Here stands what it needs around it, and what is said of the outcome.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import kruise_autopatch
from mutation.unnoticeable import UNNOTICEABLE
from support.checkout import CHECKOUT, TESTS

# Percent. Of all changes: those that make no difference are not taken off.
ENOUGH = 95.0

_NOTICED = ("killed", "timeout")
_LEFT_OUT = ("not checked", "skipped")

# A pure function is the same without its memory, and mutmut leaves decorated ones alone.
_MEMORY = re.compile(r"^@lru_cache\(.*\)\n", re.MULTILINE)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tox -e mutation --", description=__doc__)
    parser.add_argument("work", type=Path, help="made anew; its name is site-packages")
    parser.add_argument("mutants", nargs="*", help="only these, as kruise_autopatch.settings.*")
    options = parser.parse_args()
    work = options.work.resolve()
    _prepare(work)
    _mutmut(work, "run", *options.mutants, stdout=None)
    outcomes = dict(_outcomes(_mutmut(work, "results", "--all", "true")))
    unnoticed = [name for name, outcome in outcomes.items() if outcome not in _NOTICED]
    explained = [_explained(work, name, outcomes[name]) for name in unnoticed]
    return _sum_up(outcomes, len(unnoticed), sum(explained))


def _explained(work: Path, name: str, outcome: str) -> bool:
    """Show a change that nothing has noticed, and say whether it could be."""
    change = _change(_mutmut(work, "show", name))
    reason = next((each.reason for each in UNNOTICEABLE if each.is_of(name, change)), None)
    print(f"\n{name}: {reason or outcome}", *change, sep="\n    ")
    return reason is not None


def _prepare(work: Path) -> None:
    """The installed package and the tests, side by side, as mutmut wants them."""
    shutil.rmtree(work, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(TESTS, work / "tests", ignore=ignored)
    shutil.copy(CHECKOUT / "pyproject.toml", work)
    package = work / "src" / "kruise_autopatch"
    shutil.copytree(Path(kruise_autopatch.__file__).parent, package, ignore=ignored)
    for module in package.rglob("*.py"):
        text = module.read_text("utf-8")
        module.write_text(_MEMORY.sub("", text), "utf-8")


def _mutmut(work: Path, *arguments: str, stdout: int | None = subprocess.PIPE) -> str:
    command = [sys.executable, "-m", "mutmut", *arguments]
    done = subprocess.run(command, cwd=work, stdout=stdout, encoding="utf-8", check=True)
    return done.stdout or ""


def _outcomes(results: str) -> Iterable[tuple[str, str]]:
    for line in results.splitlines():
        name, _, outcome = line.strip().rpartition(": ")
        if name and outcome not in _LEFT_OUT:
            yield name, outcome


def _change(diff: str) -> list[str]:
    """The lines that differ."""
    return [line for line in diff.splitlines() if re.match(r"[-+](?![-+]{2} )", line)]


def _sum_up(outcomes: dict[str, str], unnoticed: int, explained: int) -> int:
    all_of_them = Counter(_module(name) for name in outcomes)
    noticed = Counter(_module(name) for name in outcomes if outcomes[name] in _NOTICED)
    print()
    for module, count in sorted(all_of_them.items()):
        print(f"{100 * noticed[module] / count:6.1f} % of {count:4}  {module}")
    share = 100 * (1 - unnoticed / len(outcomes))
    print(
        f"{share:6.1f} % of {len(outcomes):4}  are noticed; of the other {unnoticed},"
        f" {explained} make no difference that a test could see"
    )
    return int(share < ENOUGH)


def _module(mutant: str) -> str:
    """Of ``kruise_autopatch.settings.x_for_call__mutmut_2`` ``kruise_autopatch.settings``."""
    return re.sub(r"\.x[_ǁ].*", "", mutant)


if __name__ == "__main__":
    raise SystemExit(main())
