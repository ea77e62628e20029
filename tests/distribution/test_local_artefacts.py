"""The distribution kruise-autopatch-local beside kruise-autopatch: what is in which."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest
from packaging.metadata import Metadata
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
from kruise_autopatch import __version__

PACKAGE = Path(__file__).resolve().parents[2] / "local" / "kruise_autopatch_local"

# What a server, a kernel or a plugin would be made with; and the other distribution.
NOT_IN_PRODUCTION = {
    "IPython",
    "google",
    "httptools",
    "ipykernel",
    "joserfc",
    "jupyter_client",
    "kruise_autopatch_local",
    "multipart",
    "psutil",
    "pytest",
    "python_multipart",
    "starlette",
    "uvicorn",
    "websockets",
}


@pytest.fixture(scope="session")
def ours(wheel: Path) -> Content:
    return content_of(wheel)


@pytest.fixture(scope="session")
def local(local_wheel: Path) -> Content:
    return content_of(local_wheel)


def metadata(content: Content) -> Metadata:
    return Metadata.from_email(dist_info(content, "METADATA"))


def entry_points(content: Content) -> dict[str, dict[str, str]]:
    parser = ConfigParser()
    parser.read_string(dist_info(content, "entry_points.txt").decode())
    return {section: dict(parser[section]) for section in parser.sections()}


def imported(content: Content) -> Iterator[str]:
    """The top-level names of what the modules import, wherever they do so."""
    for name, data in content.items():
        if name.endswith(".py"):
            for node in ast.walk(ast.parse(data)):
                if isinstance(node, ast.Import):
                    yield from (alias.name.partition(".")[0] for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    yield node.module.partition(".")[0]


def test_the_package_holds_no_server_no_kernel_and_no_pytest_plugin(ours: Content) -> None:
    assert entry_points(ours) == {
        "console_scripts": {"kruise-autopatch": "kruise_autopatch.cli.main:main"}
    }
    assert set(imported(ours)) & NOT_IN_PRODUCTION == set()
    assert [name for name in ours if "local" in name or "pytest" in name] == []


def test_what_the_package_must_not_import_is_what_the_server_imports(local: Content) -> None:
    """If the reader of imports finds nothing, the test above says nothing."""
    seen = set(imported(local))
    assert {"starlette", "uvicorn", "jupyter_client", "psutil", "joserfc", "pytest"} <= seen


def test_the_wheel_holds_every_module_of_the_checkout_and_nothing_else(
    local: Content, local_wheel: Path
) -> None:
    name, _, _, tags = parse_wheel_filename(local_wheel.name)
    assert (name, [str(tag) for tag in tags]) == ("kruise-autopatch-local", ["py3-none-any"])
    files = {
        file.relative_to(PACKAGE.parent).as_posix()
        for file in PACKAGE.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert set(without_dist_info(local)) == files
    assert local["kruise_autopatch_local/py.typed"] == b""


def test_record_lists_every_file_with_its_digest_and_size(local: Content) -> None:
    assert record(local) == recorded(local)


def test_it_has_a_command_and_a_pytest_plugin(local: Content) -> None:
    assert entry_points(local) == {
        "console_scripts": {"kruise-autopatch-local": "kruise_autopatch_local.__main__:main"},
        "pytest11": {"kruise_autopatch": "kruise_autopatch_local.pytest_plugin"},
    }


def test_the_two_require_each_other_in_the_same_version(ours: Content, local: Content) -> None:
    assert str(metadata(ours).version) == str(metadata(local).version) == __version__
    # The one names the other's release, and so no two releases are ever installed together.
    by_extra = [
        str(requirement.specifier)
        for requirement in metadata(ours).requires_dist or []
        if requirement.name == "kruise-autopatch-local"
    ]
    required = {r.name: str(r.specifier) for r in metadata(local).requires_dist or []}
    assert by_extra == [""]
    assert required["kruise-autopatch"] == f"=={__version__}"
    always = [r for r in metadata(local).requires_dist or [] if r.marker is None]
    assert len(always) == 12


def test_its_metadata_is_complete_and_the_licence_the_same(ours: Content, local: Content) -> None:
    about = metadata(local)
    assert about.name == "kruise-autopatch-local"
    assert about.summary
    assert about.description_content_type == "text/markdown"
    assert (about.description or "").startswith("# kruise-autopatch-local\n")
    header = dist_info(local, "METADATA").decode()
    assert "\nLicense-File: LICENSE\n" in header
    assert "Apache-2.0" in header

    def licence(content: Content) -> bytes:
        (name,) = [name for name in content if name.endswith("/LICENSE")]
        return content[name]

    assert licence(local) == licence(ours)


def test_the_sdist_holds_what_it_needs_and_no_other_files(local_sdist: Path, sdist: Path) -> None:
    name, version = parse_sdist_filename(local_sdist.name)
    assert (name, str(version)) == ("kruise-autopatch-local", __version__)
    names = files_of(local_sdist)
    needed = {"LICENSE", "README.md", "PKG-INFO", "pyproject.toml", "setup.cfg", "setup.py"}
    needed |= {"kruise_autopatch/_version.py", "build_support/reproducible.py"}
    assert needed <= set(names)
    assert [name for name in names if name.endswith(".pyc") or "/." in f"/{name}"] == []
    # Neither archive holds what belongs into the other.
    assert [name for name in names if name.startswith("kruise_autopatch/")] == [
        "kruise_autopatch/_version.py"
    ]
    assert [name for name in files_of(sdist) if "local" in name] == []
