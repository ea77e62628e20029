"""Make what the tests of ``deploy/`` need and a network is needed for: python -m deploy.prepare DIR

The image, and for each Python here an environment with the SDK, as an application's image has one.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

from deploy import recipe
from matrix.releases import interpreters

# The last e2b that each Python can run; tox.ini has the same.
SDK = {"3.9": ["e2b==2.8.0"], "3.10": ["e2b==2.45.1"]}
NEWER_SDK = ["e2b>=2.63.0", "e2b-code-interpreter>=2.11.5"]
# An application's own, and none that the tree has.
OWN_WRAPT = "1.17.3"
# Older than the package supports.
OLDER = ("2.7", "3.6", "3.7", "3.8")


def main(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    image = recipe.build(directory / "image")
    # Where a container's mounts go is for the engine to make.
    (image.root / "volume").mkdir()
    description = {**dataclasses.asdict(image), "root": str(image.root)}
    pythons = {}
    for version, interpreter in interpreters().items():
        root = directory / f"python{version}"
        _uv("venv", "--quiet", "--python", interpreter, str(root))
        python = root / "bin" / "python"
        _install("--python", str(python), *SDK.get(version, NEWER_SDK))
        own = directory / f"wrapt{version}"
        _install("--python", str(python), "--target", str(own), f"wrapt=={OWN_WRAPT}")
        pythons[version] = str(python)
    found = {"image": description, "pythons": pythons, "older": interpreters(OLDER)}
    (directory / "prepared.json").write_text(json.dumps(found, indent=1))


def _install(*arguments: str) -> None:
    """With byte code, as an image has it that pip has made."""
    _uv("pip", "install", "--quiet", "--compile-bytecode", *arguments)


def _uv(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "uv", *arguments], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
