"""Say whether this checkout may become a release: RELEASING.md.

    python -m build_support.release TAG REPOSITORY

Asked by the release's workflow before anything is built, since an index takes no version twice.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from build_support import identity
from build_support.shared import ROOT, version

_DATED = r"^## \[?{}\]? - \d{{4}}-\d\d-\d\d$"


def main() -> None:
    parser = argparse.ArgumentParser(description="Say whether this checkout may be released.")
    parser.add_argument("tag", help="v and the version")
    parser.add_argument("repository", help="its address, such as https://github.com/OWNER/NAME")
    arguments = parser.parse_args()
    found = [*objections(ROOT, version(), arguments.tag, arguments.repository)]
    if found:
        raise SystemExit("\n".join(f"error: {objection}" for objection in found))


def objections(root: Path, release: str, tag: str, repository: str) -> Iterator[str]:
    """What must be mended first, one sentence or two each."""
    if tag != f"v{release}":
        yield f"the tag is {tag}, but the version is {release}: change kruise_autopatch/_version.py"
    changelog = (root / "CHANGELOG.md").read_text("utf-8")
    if not re.search(_DATED.format(re.escape(release)), changelog, re.MULTILINE):
        yield f"CHANGELOG.md has no heading '## {release} - YYYY-MM-DD': date the unreleased one"
    if repository != identity.REPOSITORY:
        yield (
            f"this is {repository}, but the metadata would name {identity.REPOSITORY}:"
            " change build_support/identity.py"
        )


if __name__ == "__main__":
    main()
