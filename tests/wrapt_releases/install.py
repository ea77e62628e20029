"""Releases of wrapt beside each other: python -m wrapt_releases.install DIRECTORY VERSION …"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main(directory: str, *versions: str) -> None:
    for version in versions:
        target = Path(directory, f"wrapt-{version}")
        if not target.is_dir():
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
            subprocess.run([*pip, "--target", str(target), f"wrapt=={version}"], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
