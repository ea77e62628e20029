"""docs/frameworks.md: what other people's software did against the local sandbox-manager."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

SDKS = ("e2b", "e2b-code-interpreter")

# That they are not to call home.
SILENT = {
    "AGNO_TELEMETRY": "false",
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_DISABLE_TRACKING": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "OTEL_SDK_DISABLED": "true",
}

# Why a step of a framework's does not succeed, where it is not for us to mend.
REASONS = {
    ("agno", "file down"): "agno writes the text that `files.read` returns as bytes",
    ("agno", "watch a directory"): "agno calls `WatchHandle.get_change`, which e2b 2 does not have",
    ("agno", "status"): "agno looks for `Sandbox.id`, which e2b 2 does not have",
    ("agno", "list"): "agno iterates over `Sandbox.list()`, which is a paginator in e2b 2",
    ("crewai-tools", "append"): "crewai-tools writes a `bytearray`, which e2b refuses to send",
}

_HEAD = """\
# Other people's software

Agent frameworks from PyPI, unmodified, led to the [local sandbox-manager](local-manager.md) by
variables alone (`KRUISE_E2B_PATCH=1`, `KRUISE_E2B_HTTPS=0`, `E2B_DOMAIN`, `E2B_API_KEY`). The E2B
part of each is used from start to shut-down, without a language model: its tools are called as its
agents call them.

    python -m tox run -e frameworks

installs the newest releases, each in an environment of its own, runs the programs of
`tests/frameworks/programs`, and writes this page.
"""


class Outcome(NamedTuple):
    """What happened with a framework."""

    name: str
    version: str
    sdks: dict[str, str]
    # By its name: what was wrong, or `None`.
    steps: dict[str, str | None]

    @property
    def passed(self) -> int:
        return sum(error is None for error in self.steps.values())

    @property
    def failed(self) -> list[tuple[str, str]]:
        return [(name, error) for name, error in self.steps.items() if error is not None]


def unexplained(outcome: Outcome) -> list[str]:
    """The steps that failed without a known reason."""
    return [name for name, _ in outcome.failed if (outcome.name, name) not in REASONS]


def render(outcomes: list[Outcome], day: date) -> str:
    lines = [
        _HEAD,
        f"The last run, {day.isoformat()}:\n",
        "| distribution | release | with | steps that succeeded | which |",
        "|---|---|---|---|---|",
    ]
    for outcome in outcomes:
        sdks = ", ".join(f"{name} {version}" for name, version in outcome.sdks.items())
        count = f"{outcome.passed} of {len(outcome.steps)}"
        done = ", ".join(name for name, error in outcome.steps.items() if error is None)
        lines.append(f"| {outcome.name} | {outcome.version} | {sdks} | {count} | {done} |")
    failed = [
        f"| {outcome.name} | {name} | {REASONS.get((outcome.name, name), error)} |"
        for outcome in outcomes
        for name, error in outcome.failed
    ]
    if failed:
        lines += ["\n| distribution | step that failed | why |", "|---|---|---|", *failed]
    return "\n".join(lines) + "\n"
