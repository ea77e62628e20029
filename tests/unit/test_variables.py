"""The table of variables has all that this SDK reads, and says of each what others rely on."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from kruise_autopatch import PACKAGES, settings, variables

READS = re.compile(r"(?:getenv|environ(?:\.get)?)\s*[\(\[]\s*[\"'](E2B_\w+)")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_variable_that_the_sdk_reads_is_there(package: str) -> None:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"{package} is not installed")
    sources = Path(spec.origin).parent.rglob("*.py")
    read = {name for source in sources for name in READS.findall(source.read_text("utf-8"))}
    assert read - set(variables.names(variables.SDK)) == set()
    # If nothing is found, this test says nothing.
    assert package != "e2b" or {"E2B_DOMAIN", "E2B_API_KEY"} <= read


def test_each_name_is_there_once_and_ours_are_those_of_the_settings() -> None:
    listed = variables.names(variables.VARIABLES)
    assert len(set(listed)) == len(listed)
    assert variables.names(variables.OURS) == tuple(each.name for each in settings.VARIABLES)


def test_what_is_secret_and_what_leads_elsewhere() -> None:
    assert set(variables.SECRETS) == {"E2B_API_KEY", "E2B_ACCESS_TOKEN"}
    assert set(variables.LEADING_ELSEWHERE) == {
        "E2B_API_URL",
        "E2B_SANDBOX_URL",
        "E2B_VOLUME_API_URL",
        "E2B_DEBUG",
        "KRUISE_E2B_SANDBOX_DOMAIN",
    }


def test_a_url_may_name_a_user_and_a_secret_is_none() -> None:
    urls = {
        name for name in variables.names(variables.VARIABLES) if name.endswith(("_URL", "DOMAIN"))
    }
    assert urls <= set(variables.URLS)
    assert set(variables.SECRETS).isdisjoint(variables.URLS)
