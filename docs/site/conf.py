"""The pages of the checkout as a site: `tox -e site`.

The source directory is the checkout itself, so that every page is read where it lies, with the
links that it has, and nothing is copied or rewritten for the site's sake.
"""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

CHECKOUT = Path(__file__).resolve().parents[2]

project = "kruise-autopatch"
author = "The kruise-autopatch authors"
copyright = f"{author}; Apache-2.0"
# Each release has a site of its own: .readthedocs.yaml.
release = version = runpy.run_path(str(CHECKOUT / "kruise_autopatch" / "_version.py"))[
    "__version__"
]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinxcontrib.mermaid"]
root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "docs/*/*.md"]
include_patterns += ["benchmarks/*.md", "local/*.md", "tests/*.md"]

# Markdown as GitHub reads it; every link to a heading is checked.
myst_heading_anchors = 3
myst_fence_as_directive = ["mermaid"]

# In docstrings as in Markdown, what stands between single backticks is code.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "description"

html_theme = "furo"
html_title = f"{project} {release}"
templates_path = ["templates"]
# "/" leads to the start page, which is the README.
html_additional_pages = {"index": "redirect.html"}
html_copy_source = False

# What stands in the column at the side; a page that is in none is a warning, hence an error.
SECTIONS = {
    "Use it": """
        docs/installing docs/from-nothing docs/ways-in docs/kubernetes docs/ways-of-starting docs/ci
        docs/settings docs/by-hand docs/migrating docs/traffic-tokens docs/local-manager
        docs/frameworks local/README
    """,
    "When it does not work": "docs/command-line docs/troubleshooting docs/limits",
    "Look inside": """
        docs/how-it-works docs/site/api docs/surfaces docs/compatibility SECURITY benchmarks/README
        CHANGELOG
    """,
    "Take part": """
        CONTRIBUTING tests/README docs/decisions/README docs/decisions/pth-not-start
        docs/decisions/own-loader-hook docs/decisions/gates docs/decisions/v1-routes
        docs/decisions/no-connect-library RELEASING CODE_OF_CONDUCT
    """,
    "中文": "README.zh",
}
_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s:]+)\)")


def _read(_app: Sphinx, name: str, source: list[str]) -> None:
    """Add the column to the start page, and take away what leads to a directory."""
    room = (CHECKOUT / name).parent

    def kept(link: re.Match[str]) -> str:
        return link[1] if (room / link[2]).is_dir() else link[0]

    source[0] = _LINK.sub(kept, source[0])
    if name == root_doc:
        for caption, pages in SECTIONS.items():
            listed = "\n".join(pages.split())
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{listed}\n```\n"


def _mark_code(_app: Sphinx, _what: str, _name: str, *more: Any) -> None:
    """In docstrings as in Markdown, a paragraph that is indented is code."""
    lines: list[str] = more[-1]
    for at in range(len(lines) - 1, 1, -1):
        if lines[at].startswith("    ") and not lines[at - 1] and lines[at - 2][:1] != " ":
            lines[at - 1 : at - 1] = ["", "::"]


def setup(app: Sphinx) -> None:
    app.connect("source-read", _read)
    app.connect("autodoc-process-docstring", _mark_code)
