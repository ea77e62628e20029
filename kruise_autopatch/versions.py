"""Which release of a distribution is installed, for messages and reports."""

from __future__ import annotations

import re
import sys

if sys.version_info >= (3, 10):
    from importlib import metadata
else:
    import importlib_metadata as metadata

# sandbox_url and the prefix-safe envd clients that every patch relies on: e2b 2.8.0.
OLDEST_E2B = (2, 8)


def installed(distribution: str) -> str | None:
    """The version of an installed distribution, ``None`` if it has no metadata here."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def is_too_old(version: str) -> bool:
    """Whether this release of e2b is older than the oldest that is supported."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    return numbers < OLDEST_E2B
