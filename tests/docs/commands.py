"""The commands that a page shows, and what is wrong with each, without running it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import distribution
from itertools import groupby, takewhile
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from docs import tox_environments
from kruise_autopatch import variables
from kruise_autopatch.cli import main
from kruise_autopatch_local import options
from support.checkout import CHECKOUT, TESTS

_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
# Paragraphs, below an empty line, that are indented by four spaces or more.
_INDENTED = re.compile(r"(?<=\n\n)(?: {4,}\S.*\n(?:(?: {4,}.*)?\n)*)")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
# What separates two commands of a line.
_BETWEEN = {"&&", "||", "|", ";", "&"}

# Programs of the reader's.
_YOURS = {"your_program.py", "program.py", "test_sandbox.py"}
# What the package replaces, what installs and builds.
_FOREIGN = {"kruise-agents", "agents-api", "build", "pre-commit", "pytest", "tox"}
_PIP_OPTIONS = {"-e", "-y", "--no-deps", "--force-reinstall", "--quiet", "--no-cache-dir"}
_MODULES = {"venv", "build"}
_VERBS = {
    "docker": {"build", "compose"},
    "helm": {"install"},
    "kubectl": {"apply", "create", "exec", "label", "port-forward"},
}
_FILE_OPTIONS = {"-f", "-k", "--from-file"}

# Each returns what is wrong, or nothing.
Check = Callable[[Sequence[str]], "str | None"]


def blocks(page: Path) -> Iterator[str]:
    """The indented paragraphs that are commands, and what a Dockerfile runs."""
    text = page.read_text("utf-8")
    for language, content in _FENCE.findall(text):
        if language == "dockerfile":
            yield "\n".join(re.findall(r"^(?:RUN|ENV) (.*)$", content, re.MULTILINE)) + "\n"
    for block in _INDENTED.findall(_FENCE.sub("", text)):
        lines = [line.strip() for line in block.strip().splitlines()]
        if not lines[0].startswith(("from ", "import ", "http://")):
            yield "\n".join(lines) + "\n"


def lines_of(block: str) -> list[str]:
    """Its command lines: those behind a prompt, if there is one, since the others are output."""
    lines = [line for line in block.replace("\\\n", " ").splitlines() if line]
    prompted = [line[2:] for line in lines if line.startswith("$ ")]
    return prompted or lines


def commands_of(line: str) -> list[list[str]]:
    """The commands of a line, without what only the shell sees; a synopsis is one command."""
    if "[--" in line:
        return [line.split()]
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;")
    lexer.whitespace_split = True
    return [
        list(words) for between, words in groupby(lexer, lambda w: w in _BETWEEN) if not between
    ]


def problem(words: Sequence[str]) -> str | None:
    """What is wrong with a command; nothing if it is right."""
    assigned = list(takewhile(_ASSIGNMENT.match, words))
    unknown = _unknown_variables(assigned)
    rest = words[len(assigned) :]
    if unknown or not rest:
        return unknown
    program = rest[0].rpartition("/")[2]
    check = _CHECKS.get(program)
    return check(rest[1:]) if check else f"{program}: nobody checks this program"


def _unknown_variables(words: Sequence[str]) -> str | None:
    names = {match[1] for match in map(_ASSIGNMENT.match, words) if match}
    unknown = names - set(variables.names(variables.VARIABLES))
    return f"variables that nothing reads: {sorted(unknown)}" if unknown else None


def _ours(words: Sequence[str]) -> str | None:
    if any(word.startswith("[") for word in words):
        return _synopsis(words)
    before, after = main._split(list(words))
    try:
        parsed = main._parser().parse_args(before)
    except SystemExit:
        return f"kruise-autopatch refuses {words}"
    return problem(after[1:]) if after and parsed.command == "run" else None


def _synopsis(words: Sequence[str]) -> str | None:
    shown = set(re.findall(r"--[a-z][\w-]*", " ".join(words[1:])))
    (commands,) = (a.choices for a in main._parser()._actions if isinstance(a.choices, dict))
    known = {option for a in commands[words[0]]._actions for option in a.option_strings}
    return f"options that {words[0]} lacks: {shown - known}" if shown - known else None


def _local(words: Sequence[str]) -> str | None:
    try:
        options.parser().parse_args(words)
    except SystemExit:
        return f"kruise-autopatch-local refuses {words}"
    return None


def _python(words: Sequence[str]) -> str | None:
    if words[0] == "-c":
        return None
    if words[0] == "-m":
        module, *rest = words[1:]
        as_program = {"kruise_autopatch": "kruise-autopatch"}.get(module, module)
        if as_program in _CHECKS:
            return problem([as_program, *rest])
        path = CHECKOUT / f"{module.replace('.', '/')}.py"
        return None if module in _MODULES or path.exists() else f"no module {module}"
    if words[0] == "support/loopback.py":
        return problem(words[1:])
    return None if words[0] in _YOURS else _missing([words[0]])


def _missing(paths: Sequence[str]) -> str | None:
    rooms = (CHECKOUT, TESTS)
    gone = [path for path in paths if not any((room / path).exists() for room in rooms)]
    return f"no such files: {gone}" if gone else None


def _pip(words: Sequence[str]) -> str | None:
    verb, *rest = words
    named = [word for word in rest if not word.startswith("-")]
    unknown = {word for word in rest if word.startswith("-")} - _PIP_OPTIONS
    if verb not in ("install", "uninstall") or unknown or not named:
        return f"pip {verb} {sorted(unknown)}"
    wrong = [reason for reason in map(_not_installable, named) if reason]
    return "; ".join(wrong) or None


def _not_installable(word: str) -> str | None:
    source, _, extras = word.partition("[")
    if source in (".", "local") or word.endswith(".whl"):
        # A directory of the checkout, or what was built.
        return _unknown_extras(extras.rstrip("]").split(",") if extras else [])
    try:
        requirement = Requirement(word.replace("==VERSION", ""))
    except InvalidRequirement as error:
        return f"{word}: {error}"
    name = requirement.name.lower()
    if name in ("kruise-autopatch", "kruise-autopatch-local"):
        return _unknown_extras(requirement.extras)
    known = tox_environments.dependencies() | _FOREIGN
    return None if name in known else f"{name}: no distribution that we know"


def _unknown_extras(extras: Sequence[str] | set[str]) -> str | None:
    there = distribution("kruise-autopatch").metadata.get_all("Provides-Extra") or []
    unknown = set(extras) - set(there)
    return f"extras that do not exist: {sorted(unknown)}" if unknown else None


def _tox(words: Sequence[str]) -> str | None:
    asked = {after for word, after in zip(words, words[1:]) if word == "-e"}
    unknown = {name for names in asked for name in names.split(",")} - tox_environments.named()
    return f"tox has no environment {sorted(unknown)}" if unknown else None


def _pytest(words: Sequence[str]) -> str | None:
    values = {after for word, after in zip(words, words[1:]) if word in ("-k", "-n")}
    paths = [word for word in words if not word.startswith("-") and word not in values]
    return _missing([path for path in paths if path not in _YOURS])


def _cluster(program: str) -> Check:
    """A program that talks to a cluster or an image: its verb, its files, and what it starts."""

    def check(words: Sequence[str]) -> str | None:
        words, started = _divided(words)
        verbs = [word for before, word in zip(["", *words], words) if not _is_option(before, word)]
        if verbs[0] not in _VERBS[program]:
            return f"{program} {verbs[0]}: nobody checks this"
        literal = [word.partition("=")[2] for word in words if word.startswith("--from-literal=")]
        files = [after for word, after in zip(words, words[1:]) if word in _FILE_OPTIONS]
        unknown = _unknown_variables([word for word in literal if not word.startswith("API_KEY")])
        return unknown or _missing(files) or (problem(started) if started else None)

    return check


def _divided(words: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    at = words.index("--") if "--" in words else len(words)
    return words[:at], words[at + 1 :]


def _is_option(before: str, word: str) -> bool:
    return word.startswith("-") or before in ("-n", "--namespace")


def _fine(words: Sequence[str]) -> str | None:
    return None


_CHECKS: dict[str, Check] = {
    "kruise-autopatch": _ours,
    "kruise-autopatch-local": _local,
    "python": _python,
    "python3": _python,
    "pip": _pip,
    "tox": _tox,
    "pytest": _pytest,
    "export": _unknown_variables,
    **{program: _cluster(program) for program in _VERBS},
    # With nothing of ours to be wrong.
    **dict.fromkeys((".", "cat", "cd", "curl", "echo", "pre-commit", "sha256sum"), _fine),
}
