"""The compatibility matrix: `tox -e matrix`. Not collected by pytest."""
