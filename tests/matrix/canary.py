"""Try an e2b that we have not seen: `tox -e canary -- REQUIREMENT [REQUIREMENT ...]`.

A requirement is what pip takes: the absolute path of a checkout or of a wheel, ``e2b==3.0.0``, or
``e2b`` for the newest release. It holds the conversation of the matrix, whatever its companions
require, and prints what the SDK's source mentions that the one of ``known.json`` did not. The exit
status is 1 if a surface fails. ``--write-known`` keeps what is mentioned, once somebody has looked
at it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from matrix import environments, inventory, run, verdicts
from matrix.inventory import Inventory
from support.checkout import CHECKOUT

KNOWN = Path(__file__).with_name("known.json")
_COMPANIONS = ("e2b-code-interpreter", "e2b-desktop")


def main() -> int:
    options = _parser().parse_args()
    work = options.work_directory.resolve()
    work.mkdir(parents=True, exist_ok=True)
    wheel = environments.build_wheel(work / "wheel")
    directory = work / "canary"
    try:
        python = environments.create_with(
            [*_COMPANIONS, *options.requirements], options.requirements, wheel, directory
        )
    except environments.BuildError as error:
        raise SystemExit(f"error: {error}") from None
    sdk = [line for line in environments.packages(python) if line.startswith("e2b")]
    found = inventory.of(_sources(python))
    if options.write_known:
        kept = {kind: sorted(facts) for kind, facts in found.items()}
        KNOWN.write_text(json.dumps({"sdk": sdk, **kept}, indent=1) + "\n", encoding="utf-8")
        return 0
    outcome = verdicts.of(run.probe(python, directory / "report.json"))
    text = "\n".join(_report(sdk, outcome, found))
    print(text)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with open(summary, "a", encoding="utf-8") as file:
            file.write(f"{text}\n")
    return int(any(verdict.word == verdicts.FAILED for verdict in outcome.values()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tox -e canary --", description=(__doc__ or "").partition("\n\n")[2]
    )
    parser.add_argument("requirements", nargs="+", metavar="REQUIREMENT")
    parser.add_argument("--write-known", action="store_true", help="keep what is mentioned")
    parser.add_argument("--work-directory", type=Path, default=CHECKOUT / ".tox" / "matrix-work")
    return parser


def _sources(python: Path) -> Iterator[tuple[str, str]]:
    (site_packages,) = python.parents[1].glob("lib/python*/site-packages")
    for package in inventory.PACKAGES:
        for module in sorted((site_packages / package).rglob("*.py")):
            path = module.relative_to(site_packages).as_posix()
            yield path, module.read_text(encoding="utf-8")


def _known() -> tuple[list[str], Inventory]:
    kept = json.loads(KNOWN.read_text(encoding="utf-8"))
    sdk: list[str] = kept.pop("sdk")
    return sdk, {kind: frozenset(facts) for kind, facts in kept.items()}


def _report(
    sdk: list[str], outcome: dict[str, verdicts.Verdict], found: Inventory
) -> Iterator[str]:
    """In Markdown, for a terminal and for the summary of a workflow."""
    known_sdk, known = _known()
    new, gone = inventory.difference(known, found)
    yield f"# {', '.join(sdk)}"
    for group, verdict in outcome.items():
        if verdict.word in (verdicts.FAILED, verdicts.STOCK):
            yield f"- **{group}** {verdict.word}: {'; '.join(verdict.reasons)}"
    failed = sum(verdict.word == verdicts.FAILED for verdict in outcome.values())
    yield f"\n{len(outcome) - failed} of {len(outcome)} groups of surfaces are right."
    yield f"\nBeside {', '.join(known_sdk)}, the source mentions"
    for title, facts_by_kind in (("new", new), ("no longer", gone)):
        for kind, facts in facts_by_kind.items():
            yield f"- {title}, {kind}: {', '.join(f'`{fact}`' for fact in sorted(facts))}"
    if not (new or gone):
        yield "- the same."


if __name__ == "__main__":
    sys.exit(main())
