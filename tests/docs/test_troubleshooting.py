"""docs/troubleshooting.md has an entry for every message in the code, and for no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs import messages

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGE = CHECKOUT / "kruise_autopatch"
PAGE = "docs/troubleshooting.md"

# What a server says is not ours to explain, whether it is the real one or its stand-in.
SOURCES = [
    *sorted(PACKAGE.rglob("*.py")),
    CHECKOUT / "local" / "kruise_autopatch_local" / "launcher.py",
]
IDS = [source.relative_to(CHECKOUT).as_posix() for source in SOURCES]

# Good news, which the code keeps in the same variables as the bad.
GOOD_NEWS = (
    "kruise_autopatch is installed in",
    ", raw form",
    ", encoded form",
    "the only certificates that are trusted",
)


def text_of_the_page() -> str:
    return (CHECKOUT / PAGE).read_text("utf-8")


def in_one_line(text: str) -> str:
    return " ".join(text.split())


def sayings(template: str) -> list[str]:
    """The parts of a message that are the same each time, as far as one can search for them."""
    parts = [in_one_line(part).strip(" .:;'()") for part in template.split(messages.PLACEHOLDER)]
    return [part for part in parts if " " in part and part not in GOOD_NEWS]


def messages_in(source: Path) -> set[str]:
    found = messages.of_errors(source)
    if source.parent == PACKAGE / "cli" / "doctor":
        found |= messages.of_findings(source)
    return found


@pytest.mark.parametrize("source", SOURCES, ids=IDS)
def test_every_message_in_the_code_has_an_entry(source: Path) -> None:
    page = in_one_line(text_of_the_page())
    said = {part for template in messages_in(source) for part in sayings(template)}
    assert sorted(part for part in said if part not in page) == [], f"add entries to {PAGE}"


def test_every_entry_is_a_message_in_the_code() -> None:
    code = [in_one_line(template) for source in SOURCES for template in messages_in(source)]
    ours = text_of_the_page().partition("## When e2b is imported")[2]
    ours = ours.partition("## The SDK's own errors")[0]
    cells = re.findall(r"^\| (.*?) \|.*\|.*\|$", ours, re.MULTILINE)
    # Python's own words, and the names of exceptions.
    entries = [
        entry
        for cell in cells
        for entry in re.findall(r"`([^`]*)`", cell)
        if " " in entry and not entry.startswith(("No module named", "Error processing line"))
    ]
    assert len(entries) > 100
    unknown = [
        part for entry in entries for part in sayings(entry) if not any(part in t for t in code)
    ]
    assert unknown == [], f"no message says so any more: correct {PAGE}"


def test_the_messages_are_found() -> None:
    """If the reader of the source finds nothing, the tests above say nothing."""
    assert "has an empty label; write a host such as 'sandbox.example.com'" in messages_in(
        PACKAGE / "protocol" / "__init__.py"
    )
    network = messages_in(PACKAGE / "cli" / "doctor" / "network_checks.py")
    assert "… refuses connections: nothing listens there" in network
    assert sum(len(messages_in(source)) for source in SOURCES) > 100
