"""Which release of a distribution is installed, for decisions nothing else can make, and errors."""

from __future__ import annotations

import re
import sys

# sandbox_url and the prefix-safe envd clients that every patch relies on: e2b 2.8.0.
OLDEST_E2B = (2, 8)


def of_e2b() -> str | None:
    """The version of the imported e2b, as it knows it itself; ``None`` if it does not."""
    try:
        from e2b.api.metadata import package_version
    except ImportError:
        return installed("e2b")
    return str(package_version)


def installed(package: str) -> str | None:
    """The version of the distribution of an SDK package, ``None`` if it has no metadata here."""
    if sys.version_info >= (3, 10):
        from importlib import metadata
    else:
        import importlib_metadata as metadata

    try:
        return metadata.version(package.replace("_", "-"))
    except metadata.PackageNotFoundError:
        return None


def is_too_old(version: str | None) -> bool:
    """Whether this release of e2b is older than the oldest that is supported."""
    if version is None:
        return False
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    return numbers < OLDEST_E2B
