"""What is in the wheel, in the sdist and in the editable wheel."""

from __future__ import annotations

from collections.abc import Callable
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest
from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import parse_sdist_filename, parse_wheel_filename

from distribution.archives import (
    Content,
    content_of,
    dist_info,
    files_of,
    record,
    recorded,
    without_dist_info,
)
from distribution.environments import Environment, build, unpack

PTH = "kruise_autopatch.pth"
EXTRAS = {"e2b", "code-interpreter", "desktop", "local"}


@pytest.fixture(scope="session")
def content(wheel: Path) -> Content:
    return content_of(wheel)


@pytest.fixture(scope="session")
def editable_content(
    copy_of_checkout: Callable[[], Path], tmp_path_factory: pytest.TempPathFactory
) -> Content:
    wheel = build("build_editable", copy_of_checkout(), tmp_path_factory.mktemp("editable"))
    return content_of(wheel)


@pytest.fixture
def metadata(content: Content) -> Metadata:
    """METADATA, with every field checked by the rules of its format's version."""
    return Metadata.from_email(dist_info(content, "METADATA"))


def test_the_wheel_is_for_every_python_3_on_every_platform(content: Content, wheel: Path) -> None:
    name, _, build_number, tags = parse_wheel_filename(wheel.name)
    assert (name, build_number, [str(tag) for tag in tags]) == (
        "kruise-autopatch",
        (),
        ["py3-none-any"],
    )
    header: Message = message_from_bytes(dist_info(content, "WHEEL"))
    assert (header["Root-Is-Purelib"], header["Tag"]) == ("true", "py3-none-any")


def test_the_wheel_puts_nothing_else_into_site_packages(content: Content) -> None:
    top = {name.partition("/")[0] for name in without_dist_info(content)}
    names = {"kruise_autopatch", "kruise_agents", "kruise_agents.py", "kruise_agents-stubs"}
    assert top == {*names, PTH}
    assert not [name for name in content if name.endswith((".pyc", ".so", ".pyd"))]


def test_the_types_are_marked_as_usable(content: Content) -> None:
    assert content["kruise_autopatch/py.typed"] == b""


def test_kruise_agents_stays_open_to_openkruise_s_own_package(content: Content) -> None:
    assert [name for name in content if name.startswith("kruise_agents/")] == [
        "kruise_agents/e2b.py"
    ]
    # "partial": what we have no types of, type checkers look for in OpenKruise's package.
    assert content["kruise_agents-stubs/py.typed"] == b"partial\n"


def test_every_module_of_the_checkout_is_in_the_wheel(
    content: Content, copy_of_checkout: Callable[[], Path]
) -> None:
    checkout = copy_of_checkout()
    names = ("kruise_autopatch", "kruise_agents", "kruise_agents-stubs")
    packages = [checkout / name for name in names]
    modules = {
        file.relative_to(checkout).as_posix()
        for package in packages
        for file in package.rglob("*")
        if file.is_file()
    }
    assert {name for name in content if name.startswith("kruise_a") and "/" in name} >= modules


def test_the_pth_file_is_one_short_line_that_a_person_can_read(content: Content) -> None:
    text = content[PTH].decode("ascii")
    # Only lines that start with "import" and a blank are executed.
    assert text.startswith("import ")
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert len(text) < 120
    assert not any(word in text for word in ("exec", "eval", "base64", "compile"))


def test_a_python_that_would_pass_over_the_line_without_a_word_is_refused(content: Content) -> None:
    required = message_from_bytes(dist_info(content, "METADATA"))["Requires-Python"]
    # PEP 829: the import lines of .pth files are run until 3.17, then ignored.
    assert [v for v in ("3.8", "3.9", "3.15", "3.17", "3.18") if v in SpecifierSet(required)] == [
        "3.9",
        "3.15",
        "3.17",
    ]


@pytest.mark.parametrize("kind", ["content", "editable_content"])
def test_record_lists_every_file_with_its_digest_and_size(
    kind: str, request: pytest.FixtureRequest
) -> None:
    content: Content = request.getfixturevalue(kind)
    assert record(content) == recorded(content)


def test_the_editable_wheel_has_the_same_start_up_file_and_requirements(
    content: Content, editable_content: Content
) -> None:
    assert editable_content[PTH] == content[PTH]
    requirements = message_from_bytes(dist_info(content, "METADATA")).get_all("Requires-Dist")
    assert requirements
    editable = message_from_bytes(dist_info(editable_content, "METADATA"))
    assert editable.get_all("Requires-Dist") == requirements


def test_the_editable_path_is_there_before_our_line_needs_it(editable_content: Content) -> None:
    """``site`` reads ``.pth`` files in alphabetical order."""
    path_files = sorted(name for name in editable_content if name.endswith(".pth"))
    assert len(path_files) > 1
    assert path_files[-1] == PTH


def test_the_metadata_names_the_release(metadata: Metadata, wheel: Path) -> None:
    _, version, _, _ = parse_wheel_filename(wheel.name)
    assert (metadata.name, metadata.version) == ("kruise-autopatch", version)
    assert metadata.requires_python == SpecifierSet(">=3.9,<3.18")
    assert metadata.summary
    assert metadata.description_content_type == "text/markdown"
    assert (metadata.description or "").startswith("# ")


def test_the_package_and_the_command_name_the_release(
    with_wheel: Environment, metadata: Metadata
) -> None:
    reading = "import kruise_autopatch; print(kruise_autopatch.__version__)"
    assert with_wheel.run("-c", reading) == str(metadata.version)
    command = with_wheel.python.with_name("kruise-autopatch")
    assert with_wheel.execute([command, "--version"]) == f"kruise-autopatch {metadata.version}"


def test_the_metadata_requires_wrapt_and_nothing_else_on_new_pythons(metadata: Metadata) -> None:
    required = {
        requirement.name: str(requirement.marker or "")
        for requirement in metadata.requires_dist or []
        if "extra" not in str(requirement.marker)
    }
    assert required == {"wrapt": "", "importlib-metadata": 'python_version < "3.10"'}


def test_every_extra_requires_something(metadata: Metadata) -> None:
    extras = metadata.provides_extra or []
    assert {*extras} >= EXTRAS
    for extra in extras:
        assert [r for r in metadata.requires_dist or [] if needed_for(extra, r)]


def needed_for(extra: str, requirement: Requirement) -> bool:
    marker = requirement.marker
    return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate()


@pytest.mark.parametrize(
    ("extra", "distribution"),
    [("e2b", "e2b"), ("code-interpreter", "e2b-code-interpreter"), ("desktop", "e2b-desktop")],
)
def test_an_sdk_s_extra_requires_that_sdk(
    extra: str, distribution: str, metadata: Metadata
) -> None:
    needed = [r.name for r in metadata.requires_dist or [] if needed_for(extra, r)]
    assert needed == [distribution]


def test_the_licence_is_named_and_included(content: Content) -> None:
    header: Message = message_from_bytes(dist_info(content, "METADATA"))
    assert "Apache-2.0" in (header["License-Expression"], header["License"])
    assert header.get_all("License-File") == ["LICENSE"]
    (licence,) = [name for name in content if name.endswith("/LICENSE")]
    assert b"Apache License" in content[licence]


def test_the_sdist_builds_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    rebuilt = content_of(build("build_wheel", unpack(sdist, tmp_path), tmp_path))
    assert without_dist_info(rebuilt) == without_dist_info(content_of(wheel))


def test_the_sdist_holds_its_sources_and_no_other_files(sdist: Path) -> None:
    name, _ = parse_sdist_filename(sdist.name)
    names = files_of(sdist)
    assert name == "kruise-autopatch"
    assert {"LICENSE", "README.md", "PKG-INFO", "pyproject.toml", "setup.cfg", PTH} <= {*names}
    assert "build_support/editable_start_up.py" in names
    assert not [name for name in names if name.endswith(".pyc") or "/." in f"/{name}"]
