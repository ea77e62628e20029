"""Which release of a distribution is installed, for decisions nothing else can make, and errors."""

from __future__ import annotations

import sys
from itertools import takewhile

# The oldest releases that are supported. Every patch relies on the sandbox_url and the prefix-safe
# envd clients of e2b 2.8.0; the others are the first that work with it.
OLDEST = {
    "e2b": "2.8.0",
    "e2b_code_interpreter": "2.4.0",
    "e2b_desktop": "2.1.0",
}

# The newest releases of docs/compatibility.md. A newer one is patched as long as its patch points
# hold; the doctor says that nobody has proved it yet.
NEWEST_PROVED = {
    "e2b": "2.63.0",
    "e2b_code_interpreter": "2.11.5",
    "e2b_desktop": "2.7.2",
}


def of_e2b() -> str | None:
    """The version of the imported e2b, as it knows it itself; ``None`` if it does not."""
    try:
        from e2b.api.metadata import package_version
    except ImportError:
        return installed("e2b")
    return str(package_version)


def installed(package: str) -> str | None:
    """The version of the distribution of a package, ``None`` if it has no metadata here."""
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
    return version is not None and numbers(version)[:2] < numbers(OLDEST["e2b"])[:2]


def is_newer_than_proved(package: str, version: str | None) -> bool:
    """Whether this release of an SDK package came after those of docs/compatibility.md."""
    return version is not None and numbers(version) > numbers(NEWEST_PROVED[package])


def numbers(version: str) -> tuple[int, ...]:
    """The first three numbers: of ``2.8.0b1`` 2, 8 and 0."""
    digits = ("".join(takewhile(str.isdigit, part)) for part in version.split(".")[:3])
    return tuple(int(number) for number in digits if number)
