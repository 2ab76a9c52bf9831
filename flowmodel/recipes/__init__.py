"""Recipes: all settings of a training as one validated YAML file.

`load_recipe("quickstart")` reads `flowmodel/recipes/quickstart.yaml`; a path to a YAML file works as well. Every field has
a type, a range and a description; an error for an unknown or invalid field is a single line.
"""

from flowmodel.recipes.loading import load_recipe, load_selection, parse_recipe, recipe_names
from flowmodel.recipes.schema import Recipe

__all__ = ["Recipe", "load_recipe", "load_selection", "parse_recipe", "recipe_names"]
