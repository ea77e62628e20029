"""docs/ci.md shows the files of examples/ci, which the recipes' own tests run."""

from __future__ import annotations

from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
RECIPES = sorted(file for file in (CHECKOUT / "examples" / "ci").iterdir() if file.is_file())


@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.name for recipe in RECIPES])
def test_a_recipe_is_shown_as_it_is(recipe: Path) -> None:
    page = (CHECKOUT / "docs" / "ci.md").read_text("utf-8")
    assert f"\n{recipe.read_text('utf-8')}```\n" in page
