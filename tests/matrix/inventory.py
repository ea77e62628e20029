"""What an SDK's source mentions that may need a patch: pure, from texts to a list of facts.

A release that mentions something new may send requests where nobody has looked yet.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

PACKAGES = ("e2b", "e2b_code_interpreter", "e2b_desktop")

# Classes with patched methods: a subclass may override them.
_BASES = {"ApiClient", "ConnectionConfig", "SandboxBase", "VolumeConnectionConfig", "_VNCServer"}
_URL = re.compile(r"https?://[^\s'\"`)<>\]]+")
_VARIABLE = re.compile(r"E2B_[A-Z][A-Z0-9_]*")
_HOST = re.compile(r"(?:[\w{}-]+\.)+(?:app|dev|pro|com|io|net|org)")
_ENDPOINTS = "e2b/api/client/api/"
_LOWEST_PORT, _HIGHEST_PORT = 1024, 65535

# Of each kind, what was found.
Inventory = Mapping[str, frozenset[str]]


def of(sources: Iterable[tuple[str, str]]) -> Inventory:
    """What is mentioned in these modules.

    :param sources: paths below site-packages, with ``/``, and their texts
    """
    found: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for path, text in sources:
        if path.startswith(_ENDPOINTS) and not path.endswith("__init__.py"):
            found["endpoint modules"].add(path[len(_ENDPOINTS) : -len(".py")])
        for kind, fact in _mentioned(ast.parse(text), PurePosixPath(path)):
            found[kind].add(fact)
    return {kind: frozenset(facts) for kind, facts in found.items()}


KINDS = ("URLs", "hosts", "ports", "variables", "endpoint modules", "subclasses")


def difference(known: Inventory, found: Inventory) -> tuple[Inventory, Inventory]:
    """What is new, and what is gone, of each kind that has any."""

    def without(one: Inventory, other: Inventory) -> Inventory:
        left = {kind: one.get(kind, frozenset()) - other.get(kind, frozenset()) for kind in KINDS}
        return {kind: facts for kind, facts in left.items() if facts}

    return without(found, known), without(known, found)


def _mentioned(tree: ast.Module, path: PurePosixPath) -> Iterator[tuple[str, str]]:
    # What a docstring links to, nobody asks; a part of an f-string is read with the whole.
    passed_over = {id(node) for node in _docstrings(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            passed_over.update(map(id, node.values))
            yield from _in_text("".join(map(_text, node.values)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in passed_over:
                yield from _in_text(node.value)
        elif isinstance(node, ast.ClassDef):
            bases = {
                base.attr if isinstance(base, ast.Attribute) else _name(base) for base in node.bases
            }
            for base in sorted(bases & _BASES):
                module = ".".join(path.with_suffix("").parts)
                yield "subclasses", f"{module}:{node.name} of {base}"
        yield from _ports(node)


def _docstrings(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr):
                yield first.value


def _text(part: ast.expr) -> str:
    return str(part.value) if isinstance(part, ast.Constant) else "{}"


def _in_text(text: str) -> Iterator[tuple[str, str]]:
    yield from (("URLs", url) for url in _URL.findall(text))
    yield from (("variables", name) for name in _VARIABLE.findall(text))
    if _HOST.fullmatch(text):
        yield "hosts", text


def _ports(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Numbers that are called a port: assigned, a default, or an argument."""
    pairs: list[tuple[str, ast.expr | None]] = []
    if isinstance(node, ast.Assign):
        pairs = [(_name(target), node.value) for target in node.targets]
    elif isinstance(node, ast.AnnAssign):
        pairs = [(_name(node.target), node.value)]
    elif isinstance(node, ast.keyword):
        pairs = [(node.arg or "", node.value)]
    elif isinstance(node, ast.arguments):
        named = [*node.posonlyargs, *node.args]
        pairs = [
            *((a.arg, d) for a, d in zip(reversed(named), reversed(node.defaults))),
            *((a.arg, d) for a, d in zip(node.kwonlyargs, node.kw_defaults)),
        ]
    for name, value in pairs:
        number = value.value if isinstance(value, ast.Constant) else None
        if "port" in name.lower() and type(number) is int and _is_port(number):
            yield "ports", f"{name} = {number}"


def _is_port(number: int) -> bool:
    return _LOWEST_PORT <= number <= _HIGHEST_PORT


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
