"""KRUISE_E2B_LOG: what was patched, and where URLs lead."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support import forked, sdks
from support.programs import ON

CLIENT = "import e2b; e2b.ConnectionConfig()"


def written(code: str, **variables: str) -> list[str]:
    """What ``code`` writes to stderr, without our prefix."""
    done = forked.run(["-c", code], {**ON, **variables})
    assert (done.returncode, done.stdout) == (0, "")
    lines = done.stderr.splitlines()
    assert all(line.startswith("kruise-autopatch: ") for line in lines)
    return [line.partition(": ")[2] for line in lines]


@pytest.mark.parametrize("level", ["", "off", "0", " "])
def test_it_is_silent_by_default(level: str) -> None:
    assert written(CLIENT, KRUISE_E2B_LOG=level) == []


@pytest.mark.parametrize("level", ["info", "INFO", " info "])
def test_info_says_what_was_patched_and_how_much_of_it(level: str) -> None:
    (line,) = written(CLIENT, KRUISE_E2B_LOG=level)
    counts = forked.value(
        "import e2b, kruise_autopatch\n"
        "states = [patch.state for patch in kruise_autopatch.status().patches]\n"
        "result = e2b.api.metadata.package_version, *map(states.count, ('applied', 'absent'))",
        ON,
    )
    assert line == "e2b {} is patched: {} patch points applied, {} not in this release".format(
        *counts
    )


def test_debug_says_what_became_of_each_patch_point() -> None:
    lines = written(CLIENT, KRUISE_E2B_LOG="debug")
    reports = forked.value(
        "import e2b, kruise_autopatch\n"
        "result = [f'{name}: {state}' for name, state in kruise_autopatch.status().patches]",
        ON,
    )
    assert lines[1:-1] == reports


DECISIONS = {
    "e2b.ConnectionConfig()": "http://kruise.test/kruise/api (private: E2B_DOMAIN)",
    "e2b.ConnectionConfig(domain='other.test')": ("http://other.test/kruise/api (private: domain)"),
    "e2b.ConnectionConfig(domain='e2b.dev')": (
        "https://api.e2b.dev (native: domain is E2B's own cloud)"
    ),
    "e2b.ConnectionConfig(debug=True)": "http://localhost:3000 (native: debug)",
    "e2b.ConnectionConfig(api_url='http://me:1@secret@kruise.test/api')": (
        "http://<user>@kruise.test/api (an api_url was given)"
    ),
}


@pytest.mark.parametrize("client", DECISIONS)
def test_debug_says_where_a_client_leads_and_why_but_no_secret(client: str) -> None:
    lines = written(f"import e2b; {client}", KRUISE_E2B_LOG="debug", E2B_API_KEY="e2b_5ec2e7")
    assert lines[-1] == f"ConnectionConfig: {DECISIONS[client]}"
    assert not [line for line in lines if re.search("secret|5ec2e7", line)]


def test_a_decision_is_told_once() -> None:
    code = f"{CLIENT}; e2b.ConnectionConfig(); e2b.ConnectionConfig(domain='other.test')"
    lines = written(code, KRUISE_E2B_LOG="debug")
    told = [line.split()[1] for line in lines if line.startswith("ConnectionConfig: ")]
    assert told == ["http://kruise.test/kruise/api", "http://other.test/kruise/api"]


def test_the_application_s_own_logging_gets_the_records_without_the_variable() -> None:
    code = (
        "import logging; logging.basicConfig(level='INFO', format='%(name)s %(levelname)s')\n"
        f"{CLIENT}"
    )
    done = forked.run(["-c", code], ON)
    assert done.stderr.splitlines() == ["kruise_autopatch INFO"]


def test_with_the_variable_nothing_is_written_twice() -> None:
    code = f"import logging; logging.basicConfig(level='INFO')\n{CLIENT}"
    assert len(written(code, KRUISE_E2B_LOG="info")) == 1


def test_patch_e2b_obeys_it_too() -> None:
    code = f"import kruise_autopatch; kruise_autopatch.patch_e2b(); {CLIENT}"
    (line,) = written(code, KRUISE_E2B_PATCH="0", KRUISE_E2B_LOG="info")
    assert "is patched" in line


def test_a_level_that_does_not_exist_is_refused_when_e2b_is_imported() -> None:
    message = forked.error(CLIENT, {**ON, "KRUISE_E2B_LOG": "verbose"})
    assert message.endswith(
        "ConfigurationError: KRUISE_E2B_LOG='verbose' is not a level;"
        " write info or debug, or leave it unset."
    )


def test_a_newer_release_than_those_that_are_proved_is_named(tmp_path: Path) -> None:
    newer = sdks.other_version(tmp_path, "99.1.0")
    lines = written(CLIENT, **newer, KRUISE_E2B_LOG="info")
    assert len(lines) == 2
    assert lines[1].startswith("e2b 99.1.0 is newer than ")
    assert lines[1].endswith(", the newest that is proved, but has all patch points")
