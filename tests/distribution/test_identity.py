"""What an index shows of the distributions leads somewhere, and is what the tests prove."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.metadata import Metadata
from packaging.specifiers import SpecifierSet

from distribution.archives import content_of, dist_info
from docs import tox_environments
from support.checkout import CHECKOUT

identity = SimpleNamespace(**runpy.run_path(str(CHECKOUT / "build_support" / "identity.py")))
REPOSITORY = "https://git.example.com/us/it"
LINK = re.compile(r"\]\(([^)\s]+)\)")
# Of how many links the README has, far fewer would mean that they are not found.
SOME = 15

each_distribution = pytest.mark.parametrize("name", ["wheel", "local_wheel"])


@pytest.fixture
def about(name: str, request: pytest.FixtureRequest) -> Metadata:
    wheel: Path = request.getfixturevalue(name)
    return Metadata.from_email(dist_info(content_of(wheel), "METADATA"))


def without_dead_links(readme: str, repository: str | None) -> str:
    room = "local/" if readme.startswith("local/") else ""
    text = (CHECKOUT / readme).read_text("utf-8")
    changed: str = identity.without_dead_links(text, room, "v1", repository)
    return changed


@each_distribution
def test_the_long_description_has_no_relative_link(about: Metadata) -> None:
    assert [link for link in LINK.findall(about.description or "") if "://" not in link] == []


@each_distribution
def test_somebody_answers_for_it(about: Metadata) -> None:
    assert about.author == "The kruise-autopatch authors"
    expected = identity.project_urls(f"v{about.version}", identity.REPOSITORY)
    assert about.project_urls == {**expected, "OpenKruise Agents": "https://openkruise.io"}


@pytest.mark.parametrize("readme", ["README.md", "local/README.md"])
def test_a_link_leads_to_the_file_as_it_was_released(readme: str) -> None:
    before = LINK.findall((CHECKOUT / readme).read_text("utf-8"))
    after = LINK.findall(without_dead_links(readme, REPOSITORY))
    assert len(after) == len(before)
    ours = [link for link in after if link.startswith(REPOSITORY)]
    assert len(ours) == len([link for link in before if "://" not in link])
    assert {link.partition("/blob/v1/")[0] for link in ours} == {REPOSITORY}
    paths = [link.partition("/blob/v1/")[2].partition("#")[0] for link in ours]
    assert [path for path in paths if ".." in path or not (CHECKOUT / path).is_file()] == []
    assert readme != "README.md" or len(ours) > SOME


def test_without_a_repository_the_text_of_a_link_stays_and_other_links_too() -> None:
    text = identity.without_dead_links
    relative, elsewhere = "see [the\npage](docs/a.md#b) now", "[x](https://x.test) [y](#z)"
    assert text(relative, "", "v1", None) == "see the\npage now"
    assert f"({REPOSITORY}/blob/v1/room/docs/a.md#b)" in text(relative, "room/", "v1", REPOSITORY)
    assert text(elsewhere, "", "v1", None) == elsewhere == text(elsewhere, "", "v1", REPOSITORY)


def test_the_pages_of_the_project_are_files_of_the_release() -> None:
    pages = identity.project_urls("v1", REPOSITORY)
    assert set(pages) == {"Source", "Documentation", "Issues", "Changelog", "Security"}
    assert pages["Source"] == REPOSITORY
    files = [page.partition("/blob/v1/")[2] for page in pages.values() if "/blob/" in page]
    assert len(files) == 3
    for path, _, anchor in (file.partition("#") for file in files):
        assert f"\n## {anchor.title()}\n" in (CHECKOUT / path).read_text("utf-8") or not anchor


@each_distribution
def test_the_classifiers_name_the_pythons_that_the_tests_prove(about: Metadata) -> None:
    series = (line.rpartition(" :: ")[2] for line in about.classifiers or [] if "Python" in line)
    named = {name for name in series if name.startswith("3.")}
    # The start-up hook, not the local manager, is proved on Debian's, too: tox -e debian.
    debian = {"3.14", "3.15"} if about.name == "kruise-autopatch" else set()
    assert named == tox_environments.pythons() | debian
    assert len(named) >= 5
    required = SpecifierSet(str(about.requires_python))
    assert [version for version in named if version not in required] == []
