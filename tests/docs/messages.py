"""The messages of the package: those of its errors, in its source, and those of the doctor.

A message is a template: what is filled in when it is raised stands there as an ellipsis.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kruise_autopatch.cli.doctor.catalogue import KINDS
from kruise_autopatch.errors import KruiseAutopatchError

PLACEHOLDER = "…"

# Beside the exceptions, what carries a message to somebody.
_CARRIERS = {
    "CannotRun",
    "Failure",
    "IncompatibleSDKWarning",
    "InvalidDomain",
    "InvalidSandbox",
    "UnusablePoint",
    "_failure",
    "_report",
    "error",
    "type",
    "warn",
    "write",
}
_EXCEPTIONS = ("Error", "Expired")
# Raised for programs, or caught where they are raised.
_INTERNAL = {"AttributeError", "TimeoutError", "_KernelDied"}

_WORTH_A_LOOK = ("note", "problem")

Names = Mapping[str, Sequence[ast.expr]]


def of_errors(source: Path) -> set[str]:
    """What the errors and warnings of a module say."""
    found: set[str] = set()
    for node, names in _nodes(source):
        if isinstance(node, ast.Call) and node.args:
            carrier = _name(node.func)
            is_exception = carrier.endswith(_EXCEPTIONS) and carrier not in _INTERNAL
            if is_exception or carrier in _CARRIERS:
                found.update(_joined(node.args, names))
    return found


def of_findings() -> set[str]:
    """What the notes and problems of the doctor say."""
    kinds = [kind for kind in KINDS.values() if kind.state in _WORTH_A_LOOK]
    return {re.sub(r"\{.*?\}", PLACEHOLDER, kind.text) for kind in kinds}


def _joined(arguments: Sequence[ast.expr], names: Names) -> Iterator[str]:
    """A problem, and the advice that may follow it, in one as the error has them."""
    if isinstance(arguments[0], ast.Starred) and isinstance(arguments[0].value, ast.Name):
        for value in names.get(arguments[0].value.id, ()):
            if isinstance(value, ast.Tuple):
                yield from _joined(value.elts, names)
        return
    problems, *suggestions = ([*_templates(each, names)] for each in arguments[:2])
    if not (suggestions and suggestions[0]):
        yield from problems
        return
    for problem, advice in itertools.product(problems or [PLACEHOLDER], suggestions[0]):
        yield str(KruiseAutopatchError(problem, advice))


def _nodes(source: Path) -> Iterator[tuple[ast.AST, Names]]:
    """Every node, with what is assigned to the names that it sees."""
    module = ast.parse(source.read_text("utf-8"))
    outer = _assigned(module.body)
    for statement in module.body:
        for node in ast.walk(statement):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                names = {**outer, **_assigned(node.body)}
                yield from ((inner, names) for inner in ast.walk(node))
            else:
                yield node, outer


def _assigned(body: Sequence[ast.stmt]) -> dict[str, list[ast.expr]]:
    found: dict[str, list[ast.expr]] = {}
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Assign):
                targets, value = node.targets, node.value
            elif isinstance(node, (ast.AugAssign, ast.AnnAssign)) and node.value is not None:
                targets, value = [node.target], node.value
            else:
                continue
            for target in targets:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, []).append(value)
                elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                    for name, part in zip(target.elts, value.elts):
                        if isinstance(name, ast.Name):
                            found.setdefault(name.id, []).append(part)
    return found


def _templates(expression: ast.expr, names: Names) -> Iterator[str]:
    if isinstance(expression, ast.Constant) and isinstance(expression.value, str):
        yield expression.value
    elif isinstance(expression, ast.JoinedStr):
        for parts in itertools.product(*(_parts(part, names) for part in expression.values)):
            yield "".join(parts)
    elif isinstance(expression, ast.BinOp):
        left = [*_templates(expression.left, names)] or [PLACEHOLDER]
        right = [*_templates(expression.right, names)] or [PLACEHOLDER]
        yield from (first + second for first in left for second in right)
    elif isinstance(expression, ast.IfExp):
        yield from _templates(expression.body, names)
        yield from _templates(expression.orelse, names)
    elif isinstance(expression, ast.Name):
        for value in names.get(expression.id, ()):
            if not isinstance(value, ast.Name):
                yield from _templates(value, names)


def _parts(part: ast.expr, names: Names) -> Sequence[str]:
    """What may stand in one place of an f-string: of a constant of ours, its value."""
    if isinstance(part, ast.Constant):
        return [str(part.value)]
    value = part.value if isinstance(part, ast.FormattedValue) else None
    if isinstance(value, ast.Name) and value.id.isupper():
        return [*_templates(value, names)] or [PLACEHOLDER]
    return [PLACEHOLDER]


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    if isinstance(function, ast.Call):
        return _name(function.func)
    return function.id if isinstance(function, ast.Name) else ""
