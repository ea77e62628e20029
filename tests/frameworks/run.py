"""Run other people's E2B integrations, unmodified: `tox -e frameworks`.

Each gets a virtual environment of its own, with the newest release on PyPI and kruise-autopatch,
and one local sandbox-manager; variables alone lead it there. Its program below `programs/` says how
each step went. Only a run of all of them writes docs/frameworks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from frameworks import document, offline
from frameworks.document import Outcome
from kruise_autopatch_local import LocalManager
from support.checkout import CHECKOUT

PROGRAMS = Path(__file__).parent / "programs"
DOCUMENT = CHECKOUT / "docs" / "frameworks.md"
_PATIENCE = 600


class Framework(NamedTuple):
    """A distribution, what has to be installed for its E2B part, and the program that uses it."""

    name: str
    program: str
    requirements: tuple[str, ...]


FRAMEWORKS = (
    Framework("smolagents", "smolagents_e2b.py", ("smolagents[e2b]",)),
    Framework("agno", "agno_e2b.py", ("agno", "e2b-code-interpreter")),
    Framework("e2b-haystack", "haystack_e2b.py", ("e2b-haystack",)),
    Framework("openai-agents", "openai_agents_e2b.py", ("openai-agents[e2b]",)),
    Framework("langchain-e2b", "langchain_e2b_backend.py", ("langchain-e2b",)),
    Framework("crewai-tools", "crewai_e2b.py", ("crewai-tools[e2b]",)),
    Framework("sandboxio-e2b", "sandboxio_e2b_backend.py", ("sandboxio-e2b",)),
    Framework("e2b-adk", "adk_e2b.py", ("e2b-adk",)),
)


def main() -> int:
    options = _parser().parse_args()
    chosen = [each for each in FRAMEWORKS if not options.names or each.name in options.names]
    if not chosen:
        raise SystemExit(f"error: there are only {', '.join(each.name for each in FRAMEWORKS)}")
    work = options.work_directory.resolve()
    outcomes = []
    for framework in chosen:
        outcome = _outcome(framework, work, options.wheels.resolve())
        outcomes.append(outcome)
        print(
            f"{outcome.name} {outcome.version}: {outcome.passed} of {len(outcome.steps)}",
            flush=True,
        )
        for name, error in outcome.failed:
            print(f"    {name}: {error}")
    if chosen == list(FRAMEWORKS):
        DOCUMENT.write_text(document.render(outcomes, date.today()), encoding="utf-8")
    unexpected = [each for each in outcomes if document.unexplained(each)]
    return 1 if unexpected else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tox -e frameworks --", description=(__doc__ or "").partition("\n\n")[2]
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these distributions")
    tox = CHECKOUT / ".tox"
    parser.add_argument("--work-directory", type=Path, default=tox / "frameworks-work")
    parser.add_argument("--wheels", type=Path, default=tox / "wheels", help="where ours are")
    return parser


def _outcome(framework: Framework, work: Path, wheels: Path) -> Outcome:
    directory = work / framework.name
    python = directory / "venv" / "bin" / "python"
    try:
        _install(framework, directory / "venv", python, wheels)
    except subprocess.CalledProcessError as error:
        words = (error.stderr or "").strip().splitlines()
        return Outcome(framework.name, "", {}, {"install": words[-1] if words else str(error)})
    versions = _versions(python)
    # Sandboxes inherit what tells pip where to look.
    os.environ.update(offline.make(directory / "wheels"))
    with LocalManager() as manager:
        steps = _run(framework, python, directory, manager.environment())
        left = [
            request["path"]
            for request in manager.requests()
            if not request["path"].startswith("/kruise/")
        ]
        if left:
            steps["everything below /kruise"] = f"asked for {left[0]}"
    sdks = {name: versions[name] for name in document.SDKS if name in versions}
    return Outcome(framework.name, versions[framework.name], sdks, steps)


def _install(framework: Framework, venv: Path, python: Path, wheels: Path) -> None:
    uv = [sys.executable, "-m", "uv", "--quiet"]
    install = ["pip", "install", "--compile-bytecode", "--python", str(python)]
    ours = max(wheels.glob("kruise_autopatch-*.whl"), key=lambda wheel: wheel.stat().st_mtime)
    for command in (
        ["venv", "--clear", "--python", sys.executable, str(venv)],
        [*install, *framework.requirements, str(ours)],
    ):
        subprocess.run([*uv, *command], check=True, capture_output=True, text=True)


def _versions(python: Path) -> dict[str, str]:
    listed = subprocess.run(
        [sys.executable, "-m", "uv", "pip", "list", "--format", "json", "--python", str(python)],
        check=True,
        capture_output=True,
        text=True,
    )
    return {each["name"]: each["version"] for each in json.loads(listed.stdout)}


def _run(
    framework: Framework, python: Path, directory: Path, variables: dict[str, str]
) -> dict[str, str | None]:
    """What happened in each step: `None`, or what was wrong."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("E2B_", "KRUISE_", "PYTHON", "VIRTUAL_ENV", "PIP_"))
    }
    environment.update(variables, HOME=str(directory), **document.SILENT)
    log = directory / "output.txt"
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(python), str(PROGRAMS / framework.program)],
            env=environment,
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        )
        ending = threading.Timer(_PATIENCE, process.kill)
        ending.start()
        began = time.monotonic()
        steps: dict[str, str | None] = {}
        assert process.stdout is not None
        for line in process.stdout:
            output.write(line)
            if line.startswith("STEP "):
                told: dict[str, Any] = json.loads(line[len("STEP ") :])
                earlier = steps.get(told["step"])
                steps[told["step"]] = earlier or told["error"]
        code = process.wait()
        ending.cancel()
    if code:
        seconds = round(time.monotonic() - began)
        last = log.read_text().strip().splitlines()[-1:]
        steps["the program itself"] = f"ended with {code} after {seconds} s: {' '.join(last)}"
    return steps


if __name__ == "__main__":
    sys.exit(main())
