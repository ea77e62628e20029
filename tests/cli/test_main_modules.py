"""Tools that import every module, to document it for example, run no program by that."""

from __future__ import annotations

import importlib

import pytest


@pytest.mark.parametrize("package", ["kruise_autopatch", "kruise_autopatch_local"])
def test_the_module_behind_the_command_line_only_has_it(package: str) -> None:
    assert callable(importlib.import_module(f"{package}.__main__").main)
