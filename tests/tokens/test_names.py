"""The names of the private protocol's headers stand in one place."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from kruise_autopatch.protocol import headers

CHECKOUT = Path(__file__).resolve().parents[2]
HOME = CHECKOUT / "kruise_autopatch" / "protocol" / "headers.py"
SOURCES = [
    *(CHECKOUT / "kruise_autopatch").rglob("*.py"),
    *(CHECKOUT / "local" / "kruise_autopatch_local").rglob("*.py"),
]
NAMES = (
    headers.TRAFFIC_TOKEN,
    headers.ACCESS_TOKEN,
    headers.PROTECTED,
    headers.TRAFFIC_TOKEN_ROUTE.rpartition("/")[2],
)


def spelled_in(source: Path) -> set[str]:
    """The names that a module's strings hold, in whatever case; prose may mention them."""
    tree = ast.parse(source.read_text("utf-8"))
    strings = [
        node.value.lower()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value
    ]
    return {name for name in NAMES if any(name in text for text in strings)}


def test_that_is_where_they_are() -> None:
    assert spelled_in(HOME) == set(NAMES)


def test_and_nowhere_else() -> None:
    assert {source: spelled_in(source) for source in SOURCES if source != HOME} == {
        source: set() for source in SOURCES if source != HOME
    }


@pytest.mark.parametrize(
    ("sandbox_id", "route"),
    [
        ("default--box", "/sandboxes/default--box/traffic-access-token"),
        ("a/b?c", "/sandboxes/a%2Fb%3Fc/traffic-access-token"),
    ],
)
def test_the_route_of_a_sandbox(sandbox_id: str, route: str) -> None:
    assert headers.traffic_token_route(sandbox_id) == route


@pytest.mark.parametrize(
    ("metadata", "protected"),
    [
        ({headers.PROTECTED: "true"}, True),
        ({headers.PROTECTED: "True"}, False),
        ({headers.PROTECTED: True}, False),
        ({}, False),
        (None, False),
        ("text", False),
    ],
)
def test_what_makes_a_sandbox_protected(metadata: object, protected: bool) -> None:
    assert headers.is_protected(metadata) is protected
