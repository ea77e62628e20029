"""The start-up tests and the start-up benchmark on the newer Pythons of a newer Debian."""
