"""The start-up tests and the start-up benchmark on the newer Pythons of a newer Debian."""

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent.parent
