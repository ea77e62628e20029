"""What setup.cfg cannot say: the version, what names it, and how the archives are written."""

import sys
from pathlib import Path

from setuptools import setup

# What lies above in the checkout lies here in an sdist.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from build_support.identity import EggInfo
from build_support.reproducible import Wheel
from build_support.shared import Sdist, version

setup(
    version=version(),
    cmdclass={"egg_info": EggInfo, "bdist_wheel": Wheel, "sdist": Sdist},
    # The bounds install beside every e2b since 2.8.0.
    install_requires=[
        f"kruise-autopatch=={version()}",
        "starlette>=0.37.2",
        "uvicorn>=0.29",
        "websockets>=15.0",
        "h11>=0.13",
        "httptools>=0.6.3",
        "python-multipart>=0.0.18",
        "protobuf>=4.25",
        "jupyter-client>=8.6.0",
        "ipykernel>=6.29",
        "psutil>=5.9.6",
        "joserfc>=1.0",
    ],
    extras_require={
        # What E2B's template has beside Python: for kernels that are to have it too.
        "data": [
            "e2b-charts>=0.0.3",
            "matplotlib>=3.8",
            "numpy>=1.26",
            "pandas>=2.1",
            "pillow>=10",
        ],
    },
)
