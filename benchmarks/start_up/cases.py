"""What is compared: environments, ways to start Python in them, and goals. Only data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SWITCH = "KRUISE_E2B_PATCH"
PTH, START = "kruise_autopatch.pth", "kruise_autopatch.start"
FLOOR_LINE = f'import os; os.environ.get("{SWITCH}") and None\n'
ENTRY_POINT = "kruise_autopatch:start\n"

# What stands for the wheel that is built from the checkout.
OURS = "{wheel}[e2b,code-interpreter]"

INSTRUCTIONS, TIME, MODULES, MEMORY = "M instructions", "ms", "modules", "MB"
QUANTITIES = (INSTRUCTIONS, TIME, MODULES, MEMORY)


@dataclass(frozen=True)
class Recipe:
    """A virtual environment: what is installed, then what is changed in its site-packages."""

    requirement: str = OURS
    # kruise-autopatch is installed with the SDK and, where this is false, removed again.
    ours: bool = True
    byte_code: bool = True
    # Start-up files by name; ``None`` for one that is removed.
    files: Mapping[str, str | None] = field(default_factory=dict)
    # The file without which there is nothing to measure, as a pattern.
    needs: str = "*"


BARE = "bare interpreter"
FLOOR = "floor: a .pth that tests a variable"

RECIPES = {
    "bare": Recipe(files={PTH: None}),
    "floor": Recipe(files={PTH: FLOOR_LINE}),
    "ours": Recipe(),
    "cold": Recipe(byte_code=False),
    "start": Recipe(files={PTH: None, START: ENTRY_POINT}),
    "both": Recipe(files={START: ENTRY_POINT}),
    "wrapt": Recipe(
        ours=False,
        files={"hook.pth": "import wrapt; wrapt.register_post_import_hook(print, 'e2b')\n"},
    ),
    "autowrapt": Recipe("autowrapt", needs="autowrapt-init.pth"),
    "coverage": Recipe("coverage", needs="*coverage*.pth"),
    "setuptools": Recipe("setuptools", needs="distutils-precedence.pth"),
    "certs": Recipe("pip-system-certs", needs="*.pth"),
    "otel": Recipe("opentelemetry-distro", needs="opentelemetry/instrumentation"),
    "ddtrace": Recipe("ddtrace", needs="ddtrace/bootstrap"),
}


@dataclass(frozen=True)
class Goal:
    """The most that a case may cost in instructions, over another one."""

    limit: float
    over: str
    # To what the other one costs over a bare interpreter, in per cent; else in millions.
    relative: bool = False

    def __str__(self) -> str:
        unit = "%" if self.relative else "M"
        return f"at most {self.limit:g} {unit} over {self.over.partition(':')[0]}"


@dataclass(frozen=True)
class Case:
    """One way to start Python, and the other one it is compared with."""

    name: str
    environment: str
    baseline: str | None = BARE
    code: str = "pass"
    # Of the process; ``{site}`` stands for the environment's site-packages.
    variables: Mapping[str, str] = field(default_factory=dict)
    # The command before ``python``.
    launcher: str | None = None
    goal: Goal | None = None
    # With the other start-up file, where Python reads those (PEP 829).
    start_files: bool = False

    @property
    def imports_sdk(self) -> bool:
        return self.code.startswith("import e2b")

    @property
    def foreign(self) -> bool:
        """About another package, whose failures are no reason to measure nothing."""
        return RECIPES[self.environment].requirement != OURS

    @property
    def patches(self) -> bool:
        return self.imports_sdk and SWITCH in self.variables

    @property
    def others(self) -> Sequence[str]:
        """The cases without which this one says nothing."""
        over = self.goal.over if self.goal else None
        return [name for name in (BARE, self.baseline, over) if name not in (None, self.name)]


E2B = "import e2b"
INTERPRETER = "import e2b_code_interpreter"

_ON = {SWITCH: "1"}
_NO_EXPORTERS = {f"OTEL_{kind}_EXPORTER": "none" for kind in ("TRACES", "METRICS", "LOGS")}
_NO_AGENT = {
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
}
_AS_FLOOR = Goal(0.1, FLOOR)
_LIGHT = Goal(1.5, BARE)

GROUPS: Mapping[str, Sequence[Case]] = {
    "kruise-autopatch": (
        Case(BARE, "bare", None),
        Case(FLOOR, "floor"),
        Case("off", "ours", goal=_AS_FLOOR),
        Case("off, no .pyc", "cold", goal=_AS_FLOOR),
        Case("on", "ours", variables=_ON, goal=_LIGHT),
        Case("on, no .pyc", "cold", variables=_ON),
    ),
    ".pth against .start (PEP 829)": (
        Case("off, with .start instead", "start", start_files=True),
        Case("off, with .start too", "both", start_files=True),
        Case("on, with .start instead", "start", variables=_ON, start_files=True),
        Case("on, with .start too", "both", variables=_ON, start_files=True),
    ),
    "others": (
        Case("autowrapt, off", "autowrapt"),
        Case("autowrapt, on", "autowrapt", variables={"AUTOWRAPT_BOOTSTRAP": "anything"}),
        Case("coverage's .pth, off", "coverage"),
        Case("setuptools' distutils-precedence.pth", "setuptools"),
        Case("a .pth with a hook of wrapt", "wrapt"),
        Case("pip-system-certs", "certs"),
        Case(
            "OpenTelemetry, sitecustomize alone",
            "otel",
            variables={
                **_NO_EXPORTERS,
                "PYTHONPATH": "{site}/opentelemetry/instrumentation/auto_instrumentation",
            },
        ),
        Case(
            "opentelemetry-instrument",
            "otel",
            variables=_NO_EXPORTERS,
            launcher="opentelemetry-instrument",
        ),
        Case("ddtrace-run", "ddtrace", variables=_NO_AGENT, launcher="ddtrace-run"),
    ),
    "with the SDK": (
        Case(E2B, "bare", code=E2B),
        Case(f"on, {E2B}", "ours", E2B, E2B, _ON, goal=Goal(2, E2B, relative=True)),
        Case(INTERPRETER, "bare", code=INTERPRETER),
        Case(
            f"on, {INTERPRETER}",
            "ours",
            INTERPRETER,
            INTERPRETER,
            _ON,
            goal=Goal(2, INTERPRETER, relative=True),
        ),
    ),
}
CASES = tuple(case for group in GROUPS.values() for case in group)


def chosen(patterns: Sequence[str]) -> Sequence[Case]:
    """The cases in whose names one of ``patterns`` is, and those they are compared with."""
    if not patterns:
        return CASES
    names = {case.name for case in CASES if any(pattern in case.name for pattern in patterns)}
    names.update(other for case in CASES if case.name in names for other in case.others)
    return [case for case in CASES if case.name in names]
