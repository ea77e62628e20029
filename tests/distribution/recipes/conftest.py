"""What the recipes need. Only the tox environment ``recipes`` has the tools to run them."""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("check_jsonschema") is None:
    collect_ignore_glob = ["test_*.py"]
