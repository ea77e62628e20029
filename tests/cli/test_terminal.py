"""The doctor's report in a terminal, real and made up, and in a log."""

from __future__ import annotations

import json
import re
import sys
import textwrap

import pytest

from cli.doctoring import DOCTOR
from kruise_autopatch.cli.doctor import findings
from kruise_autopatch.cli.doctor.catalogue import KINDS, SECTIONS
from kruise_autopatch.cli.doctor.findings import Finding
from kruise_autopatch.cli.doctor.terminal import View
from support import fresh, pseudo_terminal

ON = {"KRUISE_E2B_PATCH": "1", "E2B_DOMAIN": "kruise.test", "E2B_API_KEY": "some-api-key"}
PROBLEM = {**ON, "KRUISE_E2B_HTTPS": "x"}

GOOD = Finding("interpreter", "interpreter", "ok", "CPython, /bin/python")
BAD = Finding(
    "variable:E2B_DOMAIN",
    "domain-unset",
    "problem",
    "E2B_DOMAIN is unset",
    "set it to the host.",
)


def in_terminal(variables: dict[str, str], *options: str, columns: int = 80) -> str:
    """What the doctor writes to a terminal; one that has colours, unless ``variables`` say so."""
    defaults = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TERM": "xterm"}
    environment = fresh.environment({**defaults, **variables})
    for name in ({"COLUMNS", "NO_COLOR"} & environment.keys()) - variables.keys():
        del environment[name]
    output, _ = pseudo_terminal.written(
        [sys.executable, *DOCTOR, "--offline", *options], environment, columns=columns
    )
    return output.decode().replace("\r\n", "\n")


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", text)


# --- real terminals -----------------------------------------------------------------------------


def test_in_a_terminal_the_report_is_wrapped_and_coloured_under_headings() -> None:
    output = in_terminal(PROBLEM)
    lines = plain(output).splitlines()
    headings = [line for line in lines if line and line[0] != " "]
    assert headings == ["Start-up", "Variables", "SDK", "URLs", "Network", "1 problem was found."]
    # Only a word that is longer than a line is.
    assert [line for line in lines if len(line) > 80 and " " in line.strip()[2:]] == []
    assert "  \x1b[32m✓\x1b[0m KRUISE_E2B_PATCH=1: on\n" in output
    assert "  \x1b[1;31m✗\x1b[0m \x1b[1mKRUISE_E2B_HTTPS='x' is not a switch\x1b[0m\n" in output
    assert "\n    \x1b[36mNext: write one of 1, true," in output
    assert "\n          \x1b[36m" in output
    assert output.endswith("\n\x1b[1;31m1 problem was found.\x1b[0m\n")


def test_in_a_wide_terminal_lines_are_long() -> None:
    long = "so the client's own domain (the host for sandbox traffic; server means the domain in"
    assert long not in in_terminal(ON, columns=80)
    assert long in in_terminal(ON, columns=140)


@pytest.mark.parametrize("variables", [{"TERM": "dumb"}, {"NO_COLOR": "1"}])
def test_a_terminal_without_colours_gets_none(variables: dict[str, str]) -> None:
    output = in_terminal({**PROBLEM, **variables})
    assert "\x1b" not in output
    assert "\n  ✗ KRUISE_E2B_HTTPS='x' is not a switch\n    Next: write one of " in output


def test_json_is_json_in_a_terminal_too() -> None:
    assert json.loads(in_terminal(ON, "--json"))["ok"] is True


# --- findings that are made up -----------------------------------------------------------------


def shown(*made_up: Finding, width: int = 40, colour: bool = False, encoding: str = "utf-8") -> str:
    view = View(width=width, colour=colour, encoding=encoding)
    return "\n".join(line for finding in made_up for line in view.lines(finding))


def test_each_heading_comes_once_with_an_empty_line_before_it() -> None:
    assert shown(GOOD, GOOD, BAD, BAD._replace(advice=None)) == textwrap.dedent(
        """\
        Start-up
          ✓ CPython, /bin/python
          ✓ CPython, /bin/python

        Variables
          ✗ E2B_DOMAIN is unset
            Next: set it to the host.
          ✗ E2B_DOMAIN is unset"""
    )


def test_long_texts_hang_below_their_beginning() -> None:
    advice = "set it to the host of your sandbox-manager."
    text = "E2B_DOMAIN is unset: only programs that pass domain= know"
    assert shown(BAD._replace(text=text, advice=advice)) == textwrap.dedent(
        """\
        Variables
          ✗ E2B_DOMAIN is unset: only programs
            that pass domain= know
            Next: set it to the host of your
                  sandbox-manager."""
    )


def test_a_url_stays_in_one_piece() -> None:
    url = "https://sandbox-manager.sandbox-system.svc.cluster.local/kruise/api"
    assert f"    {url}\n    of it" in shown(
        Finding("url:api", "url-private", "ok", f"the API: {url} of it")
    )


def test_an_encoding_without_the_marks_gets_words() -> None:
    assert shown(GOOD, BAD, encoding="ascii", width=80) == textwrap.dedent(
        """\
        Start-up
          ok      CPython, /bin/python

        Variables
          problem E2B_DOMAIN is unset
                  Next: set it to the host."""
    )


@pytest.mark.parametrize("code", KINDS)
def test_every_finding_has_the_heading_of_its_section(code: str) -> None:
    (heading,) = [heading for heading, kinds in SECTIONS.items() if code in kinds]
    assert shown(GOOD._replace(code=code)).splitlines()[0] == heading


# --- logs ----------------------------------------------------------------------------------------


def test_in_a_log_a_finding_is_one_line() -> None:
    assert findings.line(GOOD) == "ok       CPython, /bin/python."
    line = "problem  E2B_DOMAIN is unset. Next: set it to the host."
    assert findings.line(BAD) == line


def test_a_log_has_no_headings_and_no_colours() -> None:
    done = fresh.run([*DOCTOR, "--offline"], {**PROBLEM, "TERM": "xterm", "FORCE_COLOR": "1"})
    *lines, empty, summary = done.stdout.splitlines()
    assert (empty, summary) == ("", "1 problem was found.")
    assert {line[:9] for line in lines} == {"ok       ", "note     ", "problem  "}
    assert "\x1b" not in done.stdout
