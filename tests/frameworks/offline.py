"""A package that no index has: what programs in a sandbox install where there is no network."""

from __future__ import annotations

import zipfile
from pathlib import Path

from frameworks.programs.steps import GREETING, MODULE, PACKAGE

_NAME = PACKAGE.replace("-", "_")
WHEEL = f"{_NAME}-1.0-py3-none-any.whl"
_INFO = f"{_NAME}-1.0.dist-info"
_FILES = {
    f"{MODULE}.py": f"GREETING = {GREETING!r}\n",
    f"{_INFO}/METADATA": f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n",
    f"{_INFO}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}


def make(directory: Path) -> dict[str, str]:
    """Make its wheel, and return the variables by which a sandbox's pip finds it there."""
    directory.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(directory / WHEEL, "w") as wheel:
        for name, text in _FILES.items():
            wheel.writestr(name, text)
        record = [*(f"{name},," for name in _FILES), f"{_INFO}/RECORD,,"]
        wheel.writestr(f"{_INFO}/RECORD", "\n".join(record) + "\n")
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(directory)}
