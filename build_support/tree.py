"""Write the package, and what it needs, as a directory that any Python from 3.9 on can import.

    python -m build_support.tree DIRECTORY

For ``deploy/image``. It holds no extension modules and nothing that depends on who makes it, so it
is the same to the byte everywhere; the digest that is printed shows it.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from build_support.wheels import CHECKOUT, SOURCES, copy_sources

REQUIREMENTS = CHECKOUT / "deploy" / "image" / "requirements.txt"

# The oldest that a zip archive, such as an image's layer may pass through, can express.
_TIME = 315532800


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the package as a tree for every Python.")
    parser.add_argument("directory", type=Path, help="must not exist")
    directory: Path = parser.parse_args().directory
    if directory.exists():
        parser.error(f"{directory} exists; name a directory that does not")
    with tempfile.TemporaryDirectory() as temporary:
        wheels = [build_wheel(Path(temporary)), *download(Path(temporary, "needed"))]
        write(directory, wheels)
    print(f"{directory}: sha256 {digest(directory)}")


def build_wheel(directory: Path) -> Path:
    """Our own wheel. Built from a copy, since setuptools leaves files in what it builds from."""
    source = directory / "source"
    source.mkdir(parents=True)
    copy_sources(SOURCES, source)
    _pip("wheel", "--no-deps", "--wheel-dir", str(directory), str(source))
    (wheel,) = directory.glob("*.whl")
    return wheel


def download(directory: Path) -> list[Path]:
    """The wheels of ``requirements.txt``; each is checked against its hash."""
    options = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--dest", str(directory)]
    _pip("download", *options, "--requirement", str(REQUIREMENTS))
    return sorted(directory.glob("*-none-any.whl"))


def write(directory: Path, wheels: list[Path]) -> None:
    """Unpack the modules and licences of ``wheels`` into the new ``directory``."""
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                place = _place(PurePosixPath(name))
                if place is not None:
                    file = directory / place
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(archive.read(name))
    settle(directory)


def settle(directory: Path) -> None:
    """Readable by any user, whatever the umask; and the times must not differ between images."""
    for path in [directory, *directory.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (_TIME, _TIME))


def digest(directory: Path) -> str:
    """Of every file's name and content."""
    found = hashlib.sha256()
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        content = path.read_bytes()
        found.update(f"{path.relative_to(directory).as_posix()}\0{len(content)}\0".encode())
        found.update(content)
    return found.hexdigest()


def _place(name: PurePosixPath) -> PurePosixPath | None:
    """Where a member of a wheel goes; ``None`` leaves it out."""
    package, *rest = name.parts
    if package.endswith(".dist-info"):
        is_licence = "licenses" in rest or name.name.startswith(("LICENSE", "LICENCE"))
        place = PurePosixPath("licences", package.partition("-")[0], name.name)
        return place if is_licence else None
    return name if name.suffix == ".py" else None


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    # pip has said on stderr what went wrong.
    if subprocess.run(command, check=False).returncode != 0:
        sys.exit(f"pip {arguments[0]} failed: there is no tree")


if __name__ == "__main__":
    main()
