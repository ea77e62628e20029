"""Wheels and sdists that depend on their sources alone, so that two builds are the same file.

setuptools' archives also hold when, as whom and with which umask they were made. Here all of
that is fixed; ``SOURCE_DATE_EPOCH`` chooses another time. The wheel is stored, not compressed:
what deflate makes of it depends on the zlib of the machine.
"""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import time
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.sdist import sdist

_EARLIEST = 315532800  # 1980-01-01: a zip archive knows no earlier time.
# Of every build that names no other time: 2020-02-02, as hatchling has it.
_DEFAULT_TIME = 1580601600
_FILE_MODE, _DIRECTORY_MODE = 0o644, 0o755
_UNIX = 3


class Wheel(bdist_wheel):
    """setuptools' command; then the wheel that it made is written anew."""

    def run(self) -> None:
        super().run()
        for _, _, wheel in self.distribution.dist_files:
            if wheel.endswith(".whl"):
                normalise_wheel(Path(wheel))


class Sdist(sdist):
    """setuptools' command; then the archive that it made is written anew."""

    def make_archive(self, *arguments: Any, **options: Any) -> str:
        archive: str = super().make_archive(*arguments, **options)
        normalise_sdist(Path(archive))
        return archive


def normalise_wheel(wheel: Path) -> None:
    """Write the members of ``wheel`` anew, in their order, without what the build left in them."""
    with ZipFile(wheel) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with ZipFile(wheel, "w", ZIP_STORED) as archive:
        for name, content in members.items():
            member = ZipInfo(name, time.gmtime(max(_build_time(), _EARLIEST))[:6])
            member.external_attr = (stat.S_IFREG | _FILE_MODE) << 16
            member.create_system = _UNIX
            archive.writestr(member, content)


def normalise_sdist(sdist: Path) -> None:
    """The same for ``sdist``, with its members in alphabetical order."""
    with tarfile.open(sdist) as archive:
        contents = {member.name: _content(archive, member) for member in archive.getmembers()}
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for name, content in sorted(contents.items()):
            member = tarfile.TarInfo(name)
            member.mtime = _build_time()
            if content is None:
                member.type, member.mode = tarfile.DIRTYPE, _DIRECTORY_MODE
            else:
                member.mode, member.size = _FILE_MODE, len(content)
            archive.addfile(member, io.BytesIO(content or b""))
    # An empty name, since gzip would keep that of the file.
    with open(sdist, "wb") as file, gzip.GzipFile("", "wb", 9, file, _build_time()) as compressed:
        compressed.write(tar.getvalue())


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | None:
    """What is in a file; ``None`` for a directory."""
    file = archive.extractfile(member)
    return file.read() if file is not None else None


def _build_time() -> int:
    return int(os.environ.get("SOURCE_DATE_EPOCH") or _DEFAULT_TIME)
