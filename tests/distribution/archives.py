"""What is in a wheel or an sdist."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import tarfile
from pathlib import Path
from zipfile import ZipFile

Content = dict[str, bytes]


def content_of(wheel: Path) -> Content:
    with ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def dist_info(content: Content, name: str) -> bytes:
    (path,) = [path for path in content if path.endswith(f".dist-info/{name}")]
    return content[path]


def without_dist_info(content: Content) -> Content:
    """The installed files. The others differ a little from one setuptools to the next."""
    return {name: data for name, data in content.items() if ".dist-info/" not in name}


def record(content: Content) -> dict[str, tuple[str, str]]:
    """What RECORD says: of each file its digest and its size."""
    lines = csv.reader(io.StringIO(dist_info(content, "RECORD").decode()))
    return {name: (digest, size) for name, digest, size in lines}


def recorded(content: Content) -> dict[str, tuple[str, str]]:
    """What it should say."""
    return {
        name: ("", "") if name.endswith("/RECORD") else (_digest(data), str(len(data)))
        for name, data in content.items()
    }


def files_of(sdist: Path) -> list[str]:
    """The names of the files in an sdist, without its own."""
    with tarfile.open(sdist) as archive:
        return [member.name.split("/", 1)[1] for member in archive if member.isfile()]


def _digest(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"sha256={digest}"
