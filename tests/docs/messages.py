"""The messages in the package's source: those of its errors, and those of the doctor's findings.

A message is a template: what is filled in when it is raised stands there as an ellipsis.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

PLACEHOLDER = "…"

# Beside the exceptions, what carries a message to somebody.
_CARRIERS = {
    "CannotRun",
    "Failure",
    "InvalidDomain",
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
                found.update(_templates(node.args[0], names))
    return found


def of_findings(source: Path) -> set[str]:
    """What the notes and problems of one of the doctor's modules say."""
    found: set[str] = set()
    for node, names in _nodes(source):
        if isinstance(node, ast.Call) and _name(node.func) == "Finding" and len(node.args) > 2:
            found.update(_of_finding(node.args[1], node.args[2], names))
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            state, text, *_ = node.value.elts
            found.update(_of_finding(state, text, names))
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("_why"):
            for each in ast.walk(node):
                if isinstance(each, ast.Return) and each.value is not None:
                    found.update(_templates(each.value, names))
    return found


def _of_finding(state: ast.expr, text: ast.expr, names: Names) -> Iterator[str]:
    if isinstance(state, ast.Constant) and state.value not in _WORTH_A_LOOK:
        return
    yield from _templates(text, names)


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
        parts = [
            part.value if isinstance(part, ast.Constant) else PLACEHOLDER
            for part in expression.values
        ]
        yield "".join(map(str, parts))
        for part in expression.values:
            constant = part.value if isinstance(part, ast.FormattedValue) else None
            if isinstance(constant, ast.Name) and constant.id.isupper():
                yield from _templates(constant, names)
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


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    if isinstance(function, ast.Call):
        return _name(function.func)
    return function.id if isinstance(function, ast.Name) else ""
