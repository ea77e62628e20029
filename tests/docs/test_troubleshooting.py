"""docs/troubleshooting.md has an entry for every message in the code, and for no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs import messages

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGE = CHECKOUT / "kruise_autopatch"
PAGE = "docs/troubleshooting.md"

LAUNCHER = CHECKOUT / "local" / "kruise_autopatch_local" / "launcher.py"
# What a server says is not ours to explain, whether it is the real one or its stand-in.
SOURCES = [*sorted(PACKAGE.rglob("*.py")), LAUNCHER]
IDS = [source.relative_to(CHECKOUT).as_posix() for source in SOURCES]


def text_of_the_page() -> str:
    return (CHECKOUT / PAGE).read_text("utf-8")


def in_one_line(text: str) -> str:
    return " ".join(text.split())


def sayings(template: str) -> list[str]:
    """The parts of a message that are the same each time, as far as one can search for them."""
    parts = [in_one_line(part).strip(" .:;'()") for part in template.split(messages.PLACEHOLDER)]
    return [part for part in parts if " " in part]


def missing(templates: set[str]) -> list[str]:
    """What of them the page does not have."""
    page = in_one_line(text_of_the_page())
    return sorted(part for each in templates for part in sayings(each) if part not in page)


@pytest.mark.parametrize("source", SOURCES, ids=IDS)
def test_every_message_in_the_code_has_an_entry(source: Path) -> None:
    assert missing(messages.of_errors(source)) == [], f"add entries to {PAGE}"


def test_every_finding_of_the_doctor_has_an_entry() -> None:
    assert missing(messages.of_findings()) == [], f"add entries to {PAGE}"


def test_every_entry_is_a_message_in_the_code() -> None:
    errors = (template for source in SOURCES for template in messages.of_errors(source))
    code = [in_one_line(template) for template in (*errors, *messages.of_findings())]
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
    assert "has an empty label; write a host such as 'sandbox.example.com'" in messages.of_errors(
        PACKAGE / "protocol" / "authorities.py"
    )
    assert "… refuses connections: nothing listens there" in messages.of_findings()
    assert sum(len(messages.of_errors(source)) for source in SOURCES) > 50
