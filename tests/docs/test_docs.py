"""The documentation agrees with the code, and with the files that it points to."""

from __future__ import annotations

import argparse
import inspect
import re
from pathlib import Path

import pytest

from kruise_autopatch import PACKAGES, Status, __version__, settings, versions
from kruise_autopatch.cli import main
from kruise_autopatch.patches import points_for
from kruise_autopatch.settings import Settings
from kruise_autopatch_local import LocalManager, options

CHECKOUT = Path(__file__).resolve().parents[2]
READMES = sorted(CHECKOUT.glob("README*.md"))
DOCS = sorted((CHECKOUT / "docs").glob("*.md"))
DECISIONS = sorted((CHECKOUT / "docs" / "decisions").glob("*.md"))
OURS = [CHECKOUT / f"{name}.md" for name in ("CONTRIBUTING", "RELEASING", "CODE_OF_CONDUCT")]
PAGES = [*READMES, *DOCS, CHECKOUT / "local" / "README.md", *DECISIONS, *OURS]
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Outside fences: paragraphs that are indented by four spaces and begin with an import.
INDENTED_PYTHON = re.compile(r"^ {4}(?:from \w+[\w.]* import|import) .*\n(?: {4}.*\n|\n)*", re.M)
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def name_of(page: Path) -> str:
    return page.relative_to(CHECKOUT).as_posix()


each_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


def text_of(name: str) -> str:
    return (CHECKOUT / name).read_text("utf-8")


def variable_rows(name: str) -> list[tuple[str, ...]]:
    """The rows of a page's first table whose rows begin with one of our variables."""
    rows: list[tuple[str, ...]] = []
    for line in text_of(name).splitlines():
        if re.match(r"\| `KRUISE_\w+` \|", line):
            rows.append(tuple(cell.strip() for cell in line.strip("|").split("|")))
        elif rows:
            break
    return rows


@pytest.mark.parametrize("name", ["README.md", "docs/settings.md"])
def test_the_table_of_variables_is_that_of_the_code(name: str) -> None:
    expected = [(f"`{v.name}`", v.default, v.values, v.meaning) for v in settings.VARIABLES]
    assert variable_rows(name) == expected


def test_the_translation_names_the_same_variables_with_as_many_columns() -> None:
    rows, original = variable_rows("README.zh.md"), variable_rows("README.md")
    assert [row[0] for row in rows] == [row[0] for row in original]
    assert [len(row) for row in rows] == [len(row) for row in original]


def test_the_translation_has_the_same_commands_and_links() -> None:
    def skeleton(name: str) -> tuple[list[str], list[str]]:
        text = text_of(name)
        commands = [
            line.partition("#")[0].rstrip() for line in re.findall(r"^ {4}\S.*$", text, re.M)
        ]
        return commands, [link for link in LINK.findall(text) if not link.startswith("README")]

    assert skeleton("README.zh.md") == skeleton("README.md")


@each_page
def test_no_page_names_a_variable_of_ours_that_does_not_exist(page: Path) -> None:
    named = set(re.findall(r"KRUISE_E2B_\w+", page.read_text("utf-8")))
    assert named <= {variable.name for variable in settings.VARIABLES}


@each_page
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text("utf-8")) if "://" not in link]
    missing = [link for link in links if not (page.parent / link.partition("#")[0]).exists()]
    assert missing == []


def test_the_readme_and_its_translation_link_to_each_other_and_to_every_page() -> None:
    names = {f"docs/{page.name}" for page in DOCS}
    for name, other in [("README.md", "README.zh.md"), ("README.zh.md", "README.md")]:
        assert {*names, other} <= set(LINK.findall(text_of(name)))


def test_every_decision_is_listed_and_has_the_same_headings() -> None:
    pages = [page for page in DECISIONS if page.stem != "README"]
    assert len(pages) > 4
    assert set(LINK.findall(text_of("docs/decisions/README.md"))) >= {page.name for page in pages}
    headings = ["The question", "What was decided", "Why", "When to ask again"]
    for page in pages:
        assert re.findall(r"^## (.*)$", page.read_text("utf-8"), re.M) == headings, page.name


def table_of(heading: str) -> list[str]:
    """The first cells of the table below a heading of how-it-works."""
    page = text_of("docs/how-it-works.md")
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", page, re.M | re.S)
    return re.findall(r"^\| `([^`]+)` \|", section, re.M)


def test_the_table_of_modules_is_that_of_the_package() -> None:
    package = CHECKOUT / "kruise_autopatch"
    # The inside of these is their own business.
    closed = ("cli", "injected", "kruise_agents", "tokens", "patches/traffic")
    found = set()
    for path in package.rglob("*.py"):
        name = path.relative_to(package).with_suffix("").as_posix()
        room = name.rpartition("/")[0]
        if room.startswith(closed) or path.stem == "__init__":
            found.add(f"{next((c for c in closed if room.startswith(c)), room)}/")
        elif path.stem != "__main__":
            found.add(name)
    assert sorted(table_of("Modules")) == sorted(found - {"/"})


def test_the_table_of_patch_points_is_that_of_the_code() -> None:
    named = dict.fromkeys(
        point.name for package in PACKAGES for point in points_for(package, lambda _: Settings())
    )
    assert sorted(table_of("Patch points")) == sorted(named)


def test_the_page_on_calls_names_every_setting_and_every_field() -> None:
    page = text_of("docs/by-hand.md")
    missing = {
        name
        for name in (*Settings.__slots__, *Status._fields)
        if not re.search(rf"`{name}\b", page)
    }
    assert missing == set()
    read = re.search(r"^- (`KRUISE(?:.|\n  )*) are\s+read at each call", page, re.M)
    assert read is not None
    assert set(re.findall(r"KRUISE_\w+", read[1])) == {
        variable.name
        for variable in settings.VARIABLES
        if variable not in (settings.PATCH, settings.HTTPS)
    }


def test_the_start_up_line_is_quoted_as_it_is() -> None:
    (quoted,) = re.findall(r"^```text\n(import os;.*\n)```$", text_of("docs/installing.md"), re.M)
    assert quoted == text_of("kruise_autopatch.pth")


def test_the_test_command_of_the_readme_is_what_ci_runs() -> None:
    # The other one with tox in it is the demo.
    (command,) = re.findall(r"^ {4}(.*python -m tox)$", text_of("README.md"), re.M)
    assert command in text_of(".ci/run")


def test_the_newest_releases_that_are_proved_have_a_row_of_their_own() -> None:
    e2b, code_interpreter, desktop = versions.NEWEST_PROVED.values()
    row = re.escape(f" {code_interpreter} | {desktop} | ")
    assert re.search(
        rf"^\| {re.escape(e2b)} \| [\d.]+ \|{row}", text_of("docs/compatibility.md"), re.M
    )


def python_blocks() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        text = page.read_text("utf-8")
        blocks = PYTHON_BLOCK.findall(text)
        for indented in INDENTED_PYTHON.findall(FENCE.sub("", text)):
            blocks.append(re.sub(r"^ {4}", "", indented, flags=re.M))
        found += [(f"{name_of(page)}, block {n}", block) for n, block in enumerate(blocks, start=1)]
    return found


@pytest.mark.parametrize(("name", "block"), python_blocks(), ids=[n for n, _ in python_blocks()])
def test_every_python_block_compiles(name: str, block: str) -> None:
    compile(block, name, "exec")


@each_page
def test_every_fence_says_what_is_in_it(page: Path) -> None:
    openings = re.findall(r"^```(.*)$", page.read_text("utf-8"), re.M)[::2]
    assert all(openings)


@each_page
def test_every_page_has_one_title_and_no_heading_twice(page: Path) -> None:
    headings = re.findall(r"^(#+ .*)$", FENCE.sub("", page.read_text("utf-8")), re.M)
    assert [heading for heading in headings if heading.startswith("# ")] == headings[:1]
    assert len(set(headings)) == len(headings)


def test_the_command_lines_page_has_every_command_and_option() -> None:
    page = text_of("docs/command-line.md")
    (commands,) = (a.choices for a in main._parser()._actions if isinstance(a.choices, dict))
    for name, parser in commands.items():
        assert re.search(rf"^## .*\b{name}\b", page, re.M)
        for action in parser._actions:
            for option in set(action.option_strings) - {"-h", "--help"}:
                assert re.search(rf"`[^`]*{option}\b", page), f"{name} {option}"


def test_the_table_of_the_local_managers_options_is_that_of_the_code() -> None:
    expected = [
        (" ".join([action.option_strings[0], *_value_of(action)]), meaning)
        for action in options.parser()._actions
        if isinstance(action.help, str) and action.help != argparse.SUPPRESS
        for meaning in [action.help % vars(action)]
        if action.dest != "help"
    ]
    rows = re.findall(r"^\| `(--.*?)` \| (.*) \|$", text_of("docs/local-manager.md"), re.M)
    shown = [(option.replace("\\|", "|"), meaning.replace("`", "")) for option, meaning in rows]
    assert shown == expected
    assert len(expected) > 5


def _value_of(action: argparse.Action) -> list[str]:
    """How a value is called; none of a switch."""
    return [] if action.nargs == 0 else [str(action.metavar or action.dest.upper())]


def test_the_local_managers_page_names_every_argument_of_its_class() -> None:
    (section,) = re.findall(
        r"^## In tests: LocalManager\n(.*?)^## ", text_of("docs/local-manager.md"), re.M | re.S
    )
    arguments = set(inspect.signature(LocalManager).parameters)
    # One is for tests of this package alone.
    assert {name for name in arguments if not re.search(rf"`{name}\b", section)} == {"token_leeway"}


def test_every_image_that_is_named_has_the_version_of_the_package() -> None:
    named = {
        (file.relative_to(CHECKOUT).as_posix(), version)
        for file in [*(CHECKOUT / "deploy").rglob("*"), *PAGES]
        if file.is_file()
        for version in re.findall(r"/kruise-autopatch:([\w.]+)", file.read_text("utf-8"))
    }
    assert len(named) > 4
    assert {version for _, version in named} == {__version__}, sorted(named)


def test_every_picture_is_shown_and_described() -> None:
    shown = {
        path: description
        for page in PAGES
        for description, path in re.findall(r"!\[(.*?)\]\((.*?)\)", page.read_text("utf-8"))
    }
    pictures = {f"pictures/{path.name}" for path in (CHECKOUT / "docs" / "pictures").iterdir()}
    assert set(shown) == pictures
    assert all(shown.values())


def test_the_surfaces_page_lists_every_surface_that_is_tested() -> None:
    modules = sorted((CHECKOUT / "tests" / "surfaces").glob("*.py"))
    tests = "\n".join(module.read_text("utf-8") for module in modules)
    (table,) = re.findall(r"^URLS = \{\n(.*?)^\}$", tests, re.M | re.S)
    listed = re.findall(r"^\|.*\| `([^`|]+)` \|$", text_of("docs/surfaces.md"), re.M)
    tested = re.findall(r'^ {4}"([^"]+)":', table, re.M)
    assert [name for name in tested if name not in listed] == []
