"""What the real stack answered, beside what the local sandbox-manager answers.

`recorded/` holds the two programs that asked OpenKruise's own software in November 2026 (509 raw
requests; every operation of the SDK) and, in short, what they were told. They ask again here. The
table in docs/local-manager.md names each answer that may be another one, and why.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from kruise_autopatch_local import LocalManager
from support import fresh
from support.serving import free_ports

pytestmark = pytest.mark.long

RECORDED = Path(__file__).parent / "recorded"
DOCS = Path(__file__).parents[2] / "docs" / "local-manager.md"

# Steps that need a package which only the extra `data` brings, or another kernel.
NEEDS = {
    "run_code png": "e2b_charts",
    "run_code bar chart": "e2b_charts",
    "run_code pandas": "pandas",
    "run_code bash": "bash_kernel",
}
# Where the real stack hung in each walk; what hangs here is not like it, but a fault.
HUNG = "run_code after timeout"
# A step whose value is how many sandboxes there are just now.
HOW_MANY = "list limit 0"
ALIKE_RAW = 490
# Of 249 in the longest walk.
DIFFERENT_STEPS = 9


def documented(heading: str) -> set[str]:
    """The first column of the table below a heading: names in backticks."""
    section = DOCS.read_text().split(f"### {heading}\n", 1)[1].split("\n#", 1)[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def ask(program: str, arguments: list[str], result: Path, variables: dict[str, str]) -> Any:
    done = subprocess.run(
        [sys.executable, str(RECORDED / program), *arguments],
        env=fresh.environment(variables),
        cwd=result.parent,
        capture_output=True,
        text=True,
        timeout=fresh.PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(result.read_text())


def numbered(names: list[str]) -> list[str]:
    """Names that occur more than once get a number."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return found


def test_raw_answers(manager: LocalManager, tmp_path: Path) -> None:
    result = tmp_path / "raw.json"
    variables = {"E2B_API_KEY": manager.api_key}
    answers = ask("raw.py", [manager.domain, str(result), "code-interpreter"], result, variables)
    recorded = json.loads((RECORDED / "raw.json").read_text())
    assert [answer["name"] for answer in answers] == [name for name, _ in recorded]
    others = {
        name: (expected, answer["status"])
        for answer, (name, expected) in zip(answers, recorded)
        if answer["status"] != expected
    }
    unexplained = {name: seen for name, seen in others.items() if name not in documented("Raw")}
    assert not unexplained, json.dumps(unexplained, indent=1)
    assert len(recorded) - len(others) >= ALIKE_RAW


def walked() -> str:
    """Which of the recorded SDKs the installed one is nearest to."""
    release = tuple(int(part) for part in version("e2b").split(".")[:2])
    return "old" if release < (2, 20) else "mid" if release < (2, 51) else "new"


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_walk(manager: LocalManager, tmp_path: Path, mode: str) -> None:
    if find_spec("e2b_code_interpreter") is None:
        pytest.skip("e2b-code-interpreter is not installed")
    result = tmp_path / "walk.json"
    variables = {
        **manager.environment(),
        "WALK_TEMPLATE": "code-interpreter",
        "WALK_RAW_KEY": manager.api_key,
        "WALK_PORT": str(free_ports(8)),
    }
    steps = ask("walk.py", [mode, str(result)], result, variables)["steps"]
    here = dict(zip(numbered([step["name"] for step in steps]), steps))
    assert here[HUNG]["ok"], here[HUNG]
    different = 0
    unexplained = {}
    expected = documented("Walks")
    for name, outcome in recorded_walk(f"{walked()}-{mode}").items():
        needed = NEEDS.get(name)
        found = outcome_of(here.get(name))
        if name == HOW_MANY and found and "value" in found:
            found = outcome
        if comparable(outcome) == comparable(found) or (needed and find_spec(needed) is None):
            continue
        different += 1
        if name not in expected:
            unexplained[name] = (outcome, found)
    assert not unexplained, json.dumps(unexplained, indent=1, ensure_ascii=False)
    if walked() != "old":
        # The old SDK has fewer operations.
        assert different <= DIFFERENT_STEPS


def recorded_walk(walk: str) -> dict[str, Any]:
    steps = json.loads((RECORDED / "walks.json").read_text())
    return {
        name: outcome
        for name, outcomes in steps
        for walks, outcome in outcomes
        if walks == "all" or walk in walks
    }


def outcome_of(step: dict[str, Any] | None) -> Any:
    if step is None:
        return None
    return {"value": step.get("value")} if step["ok"] else {"error": step["error"]}


def comparable(outcome: Any) -> str:
    """Without what differs each time: ids, times, directories, and fonts that are missing."""
    text = json.dumps(outcome, sort_keys=True, ensure_ascii=False)
    for pattern, instead in (
        (r"default/(code-interpreter|base)-\w+", r"default/\1-ID"),
        (r'"life": [^,}]+', '"life": 0'),
        (r'"(findfont|Matplotlib is building)[^"]*"(, )?', ""),
        # A long header, cut after so many letters.
        (r"b{50,}", "b"),
        (r"/[^\" ]*/IPython/core/\w+\.py:\d+|/PATH:\d+", "FILE:LINE"),
    ):
        text = re.sub(pattern, instead, text)
    return text
