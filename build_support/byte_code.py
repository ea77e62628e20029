"""Add this interpreter's byte code to a tree that others will import and cannot write to.

    python -m build_support.byte_code TREE

For ``deploy/image``, once with each Python. The files hold a hash of their source instead of its
time (PEP 552): a copy has other times.
"""

from __future__ import annotations

import compileall
import py_compile
import sys
from pathlib import Path

from build_support.tree import settle


def main(tree: Path) -> None:
    mode = py_compile.PycInvalidationMode.CHECKED_HASH
    if not compileall.compile_dir(tree, maxlevels=99, quiet=1, force=True, invalidation_mode=mode):
        # It has said on stdout which module, and why.
        sys.exit(f"{tree}: not every module can be compiled")
    settle(tree)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
