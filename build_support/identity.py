"""What a package index shows of the distributions: where the project is, and no dead link.

An index shows a README without the checkout around it, so that ``docs/installing.md`` leads
nowhere there. Where the repository is known, such a link leads to the file as it was released;
until then its text stands alone.
"""

from __future__ import annotations

import re
from typing import Any

from setuptools.command.egg_info import egg_info

# The one place that knows it; RELEASING.md. None: it has no public address yet.
REPOSITORY: str | None = None

# Where in the repository the README of a distribution lies.
_ROOMS = {"kruise-autopatch": "", "kruise-autopatch-local": "local/"}
# What the pages of the project are called on an index, and where they are below its address.
_PAGES = {
    "Source": "",
    "Documentation": "/blob/{tag}/README.md#more",
    "Issues": "/issues",
    "Changelog": "/blob/{tag}/CHANGELOG.md",
    "Security": "/blob/{tag}/SECURITY.md",
}

_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
_ELSEWHERE = re.compile(r"[a-z]+:|#")


class EggInfo(egg_info):
    """setuptools' command, which writes the metadata of wheels, sdists and editable wheels."""

    def finalize_options(self) -> None:
        super().finalize_options()
        about: Any = self.distribution.metadata
        name, tag = str(about.name), f"v{about.version}"
        about.long_description = without_dead_links(
            str(about.long_description), _ROOMS[name], tag, REPOSITORY
        )
        about.project_urls = {**project_urls(tag, REPOSITORY), **(about.project_urls or {})}


def project_urls(tag: str, repository: str | None) -> dict[str, str]:
    """The pages of the project, as of a release."""
    if repository is None:
        return {}
    return {label: repository + page.format(tag=tag) for label, page in _PAGES.items()}


def without_dead_links(text: str, room: str, tag: str, repository: str | None) -> str:
    """``text``, which lies in the directory ``room`` of the checkout, for a reader elsewhere."""

    def absolute(link: re.Match[str]) -> str:
        name, target = link.groups()
        if _ELSEWHERE.match(target):
            return link[0]
        if repository is None:
            return name
        path = target[len("../") :] if target.startswith("../") else room + target
        return f"[{name}]({repository}/blob/{tag}/{path})"

    return _LINK.sub(absolute, text)
