"""Give editable installations the start-up file that ``package_data`` gives to wheels.

setuptools puts no package data into an editable wheel: the package stays in the checkout. But
``.pth`` files work only in site-packages itself.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from setuptools.command.editable_wheel import editable_wheel

START_UP_FILE = Path("kruise_autopatch.pth")


class EditableWheel(editable_wheel):
    """setuptools' PEP 660 command, and the start-up file in the root of the wheel it made."""

    def run(self) -> None:
        super().run()
        for wheel in Path(self.dist_dir).glob("kruise_autopatch-*.whl"):
            add_file(wheel, START_UP_FILE)


def add_file(wheel: Path, file: Path) -> None:
    """Add ``file`` to the root of ``wheel`` and to its RECORD, so that uninstalling finds it."""
    with ZipFile(wheel) as archive:
        members = {info: archive.read(info) for info in archive.infolist()}
    with ZipFile(wheel, "w", ZIP_DEFLATED) as archive:
        for info, content in members.items():
            if info.filename.endswith(".dist-info/RECORD"):
                content = _record_line(file).encode() + content
            archive.writestr(info, content)
        archive.write(file, file.name)


def _record_line(file: Path) -> str:
    content = file.read_bytes()
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{file.name},sha256={digest},{len(content)}\n"
