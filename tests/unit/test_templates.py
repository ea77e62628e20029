"""Templates of SDK releases that have a default domain of their own."""

from __future__ import annotations

import pytest

from kruise_autopatch import ConfigurationError
from kruise_autopatch.patches import templates


def build(template: str, domain: str | None = None) -> tuple[str, str | None]:
    return template, domain


@pytest.mark.parametrize(
    ("variables", "given"),
    [
        ({}, {"domain": "a.test"}),
        ({"E2B_DOMAIN": "a.test"}, {}),
        ({"E2B_API_URL": "http://a.test/kruise/api"}, {}),
    ],
)
def test_one_that_has_been_told_where_is_built(
    variables: dict[str, str], given: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    built = templates._require_domain(build, None, ("template",), given)
    assert built == ("template", given.get("domain"))


def test_one_that_has_not_is_sent_nowhere() -> None:
    with pytest.raises(ConfigurationError, match="no domain is set; nothing was sent"):
        templates._require_domain(build, None, ("template",), {})
