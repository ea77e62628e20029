"""What setup.cfg cannot say: the version, which stands in one file, and an extra that names it."""

import sys
from pathlib import Path

from setuptools import setup

sys.path.insert(0, str(Path(__file__).resolve().parent))

from build_support.shared import version

setup(
    version=version(),
    extras_require={
        "e2b": ["e2b>=2.8.0"],
        "code-interpreter": ["e2b-code-interpreter>=2.4.0"],
        "desktop": ["e2b-desktop>=2.1.0"],
        # The local sandbox-manager and its pytest fixture, a distribution of their own: see local/.
        "local": [f"kruise-autopatch-local=={version()}"],
    },
)
