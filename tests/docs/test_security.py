"""SECURITY.md says what is shipped."""

from __future__ import annotations

import re
from pathlib import Path

from support import fresh

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = (CHECKOUT / "SECURITY.md").read_text("utf-8")


def quoted(name: str) -> tuple[str, list[str]]:
    """A start-up file as it is quoted, and the parts of it that are explained."""
    (block, table) = re.findall(
        rf"^`{re.escape(name)}`:\n\n```text\n(.*?)^```\n\n\| part .*?\n\|[-|]+\n(.*?)\n\n",
        PAGE,
        re.M | re.S,
    )[0]
    return block, re.findall(r"^\| `([^`]+)` \|", table, re.M)


def test_the_start_up_file_is_quoted_as_it_is_and_every_word_is_explained() -> None:
    block, parts = quoted("kruise_autopatch.pth")
    assert block == (CHECKOUT / "kruise_autopatch.pth").read_text("ascii")
    assert "".join(parts).replace(" ", "") == "".join(block.split())


def test_the_check_of_the_installed_files_finds_no_change_and_runs_as_it_stands() -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
    assert fresh.output(code) == ""
    changed = code.replace(".read_bytes()", ".read_bytes() + b'x'")
    assert "changed: kruise_autopatch.pth" in fresh.output(changed).splitlines()


def test_every_relative_link_leads_to_a_file() -> None:
    links = re.findall(r"\]\(([^)\s#]+)[^)]*\)", PAGE)
    assert [link for link in links if "://" not in link and not (CHECKOUT / link).exists()] == []


def test_what_is_said_about_the_line_is_so() -> None:
    (line,) = (CHECKOUT / "kruise_autopatch.pth").read_text("ascii").splitlines()
    assert re.findall(r"exec|eval|compile|base64|subprocess|system|socket|http", line) == []
    assert 80 < len(line) < 120
