"""Small distributions, written by hand, to stand beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from zipfile import ZipFile

from distribution.environments import PRINT_API_URL

_METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: 1\n"
_WHEEL = "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def make_wheel(
    directory: Path,
    name: str,
    files: Mapping[str, str],
    *,
    requires: Sequence[str] = (),
    scripts: Mapping[str, str] | None = None,
) -> Path:
    """A wheel of the distribution ``name`` with these files and console scripts."""
    info = f"{name}-1.dist-info"
    metadata = _METADATA.format(name=name) + "".join(f"Requires-Dist: {r}\n" for r in requires)
    entries = "".join(f"{script} = {target}\n" for script, target in (scripts or {}).items())
    content = {
        **files,
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": _WHEEL,
        f"{info}/entry_points.txt": f"[console_scripts]\n{entries}",
    }
    record = f"{info}/RECORD"
    content[record] = "".join(f"{path},,\n" for path in [*content, record])
    wheel = directory / f"{name}-1-py3-none-any.whl"
    with ZipFile(wheel, "w") as archive:
        for path, text in content.items():
            archive.writestr(path, text)
    return wheel


def make_application(directory: Path, *, requires: Sequence[str] = ()) -> Path:
    """A wheel with the console script ``print-api-url``, which uses e2b."""
    program = PRINT_API_URL.replace("print", "def main():\n    print")
    scripts = {"print-api-url": "application:main"}
    files = {"application.py": program}
    return make_wheel(directory, "application", files, requires=requires, scripts=scripts)
