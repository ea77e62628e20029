"""Prove kruise-autopatch on every SDK release: `tox -e matrix`, or `python -m matrix.run`.

Every published e2b release since 2.8.0 gets an environment with a code-interpreter and a desktop
release that work with it, and holds the conversation of ``tests/surfaces`` with the local
sandbox-manager. Results are kept, so that an interrupted run goes on where it was; a change of
the package begins anew. Only the run over everything writes docs/compatibility.md.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from packaging.version import Version

from matrix import document, environments, junit, releases, verdicts
from matrix.probe import MORE
from matrix.releases import Environment
from support.checkout import CHECKOUT, TESTS

DOCUMENT = CHECKOUT / "docs" / "compatibility.md"
_DAY = 24 * 3600
# Seconds; an environment takes some minutes, and many times that where others want the processor.
_PROBE_PATIENCE = 3600


def main() -> int:
    options = _parser().parse_args()
    work = options.work_directory.resolve()
    work.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()

    pythons = releases.interpreters()
    known = releases.published(work, 0 if options.fresh else _DAY)
    planned, skipped = releases.plan(known, pythons)
    chosen = [e for e in planned if _is_chosen(e, options)]
    everything = chosen == planned
    print(f"Pythons: {', '.join(pythons)}")
    for release in skipped:
        print(f"skipped: e2b {release.version} needs Python {release.requires_python}")
    if not chosen:
        raise SystemExit("error: no such release, or no Python here that can run it")

    wheel = environments.build_wheel(work / "wheel")
    digest = environments.digest(wheel)
    results = work / "results" / digest
    if options.fresh:
        shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True, exist_ok=True)
    print(f"{len(chosen)} environments, {wheel.name} ({digest}), results in {results}", flush=True)

    reports: dict[Environment, dict[str, Any]] = {}

    def more(environment: Environment) -> list[str]:
        return releases.more_of(environment) if options.representative else list(MORE)

    def prove(environment: Environment) -> tuple[dict[str, Any], float]:
        python = pythons[environment.python]
        return _report(environment, wheel, python, work, results, more(environment))

    # Those that take longest come first, so that none of them is alone in the end.
    in_order = sorted(chosen, key=lambda environment: -len(more(environment)))
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        futures = {pool.submit(prove, environment): environment for environment in in_order}
        for number, future in enumerate(concurrent.futures.as_completed(futures), 1):
            environment = futures[future]
            reports[environment], seconds = future.result()
            found = verdicts.of(reports[environment])
            took = f"{seconds:.0f} s" if seconds else "kept"
            print(f"[{number:3}/{len(chosen)}] {_line(environment, found)} ({took})", flush=True)
            for reason in _reasons(found):
                print(f"    {reason}", flush=True)

    outcomes = [(e, reports[e], verdicts.of(reports[e])) for e in chosen]
    version = wheel.name.split("-")[1]
    text = document.render(outcomes, skipped, version, digest)
    target = DOCUMENT if everything else work / "compatibility.md"
    target.parent.mkdir(exist_ok=True)
    target.write_text(text, encoding="utf-8")
    if options.junit_xml:
        junit.write(outcomes, options.junit_xml)
    failed = [e for e, _, found in outcomes if _words(found) & {verdicts.FAILED}]
    print(f"{target}: {len(chosen)} environments, {len(failed)} with failures", end=", ")
    print(f"{(time.monotonic() - began) / 60:.1f} min")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tox -e matrix --", description=(__doc__ or "").partition("\n\n")[2]
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--every", action="store_true", help="every release (the default)")
    which.add_argument("--representative", action="store_true", help="one beside each boundary")
    which.add_argument(
        "--only", type=_versions, metavar="VERSION,VERSION", help="these e2b releases"
    )
    parser.add_argument(
        # Half of the time they wait.
        "--jobs",
        type=int,
        default=3 * (os.cpu_count() or 1),
        help="environments at a time",
    )
    parser.add_argument("--fresh", action="store_true", help="forget earlier results")
    parser.add_argument("--work-directory", type=Path, default=CHECKOUT / ".tox" / "matrix-work")
    parser.add_argument(
        "--junit-xml", type=Path, metavar="FILE", help="report the cells as tests, too"
    )
    return parser


def _versions(text: str) -> set[Version]:
    return {Version(part) for part in text.split(",")}


def _is_chosen(environment: Environment, options: argparse.Namespace) -> bool:
    if options.only:
        return environment.e2b in options.only
    return not options.representative or releases.is_representative(environment)


def _report(
    environment: Environment,
    wheel: Path,
    interpreter: str,
    work: Path,
    results: Path,
    more: Sequence[str],
) -> tuple[dict[str, Any], float]:
    """What happened in the environment, and how long it took; 0 if it was known already."""
    kept = results / f"{'-'.join([environment.name, *more])}.json"
    if kept.exists():
        report: dict[str, Any] = json.loads(kept.read_text())
        return report, 0
    began = time.monotonic()
    directory = work / "environments" / environment.name
    try:
        python = environments.create(environment, wheel, interpreter, directory)
        packages = environments.packages(python)
        report = probe(python, directory / "report.json", more)
    except environments.BuildError as error:
        return {"problem": str(error)}, time.monotonic() - began
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    report.update(packages=packages, seconds=round(time.monotonic() - began, 1))
    # What failed, perhaps for want of time, is tried again by the next run.
    if not _words(verdicts.of(report)) & {verdicts.FAILED}:
        unfinished = kept.with_suffix(".part")
        unfinished.write_text(json.dumps(report, indent=1))
        unfinished.replace(kept)
    return report, time.monotonic() - began


def probe(python: Path, result: Path, more: Sequence[str] = MORE) -> dict[str, Any]:
    """What happens with the SDK of an interpreter; see :mod:`matrix.probe`."""
    command = [sys.executable, "-m", "matrix.probe", str(python), str(result), *more]
    try:
        done = subprocess.run(
            [sys.executable, str(TESTS / "support" / "loopback.py"), *command],
            cwd=TESTS,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=_PROBE_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"problem": f"no end after {_PROBE_PATIENCE} s"}
    if done.returncode != 0:
        return {"problem": f"the probe broke off: {done.stderr.strip()[-2000:]}"}
    report: dict[str, Any] = json.loads(result.read_text())
    return report


def _words(found: dict[str, verdicts.Verdict]) -> set[str]:
    return {verdict.word for verdict in found.values()}


def _reasons(found: dict[str, verdicts.Verdict]) -> list[str]:
    """Of what has failed; once, however many columns it stands in."""
    failed = [v.reasons for v in found.values() if v.word == verdicts.FAILED]
    return list(dict.fromkeys(reason for reasons in failed for reason in reasons))


def _line(environment: Environment, found: dict[str, verdicts.Verdict]) -> str:
    notable = [
        f"{group} {verdict.word}"
        for group, verdict in found.items()
        if verdict.word in (verdicts.STOCK, verdicts.FAILED)
    ]
    what = f"e2b {environment.e2b} · code-interpreter {environment.code_interpreter}"
    how = f"desktop {environment.desktop} · Python {environment.python}"
    return f"{what} · {how}: {'; '.join(notable) or 'passed'}"


if __name__ == "__main__":
    sys.exit(main())
