"""The resources of assets: the store and the recipe."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from flowmodel.store import Store

if TYPE_CHECKING:
    from flowmodel.recipes import Recipe


class StoreResource(dg.ConfigurableResource):
    """The folder of all generated files. By default it is FLOWMODEL_STORE, else data/store."""

    root: str = Field(default="", description="Folder of all generated files; if empty, FLOWMODEL_STORE, else data/store.")

    def open(self) -> Store:
        return Store(Path(self.root).resolve()) if self.root else Store.from_environment()


class RecipeResource(dg.ConfigurableResource):
    """The recipe to train. `name` is a recipe's name or the path of a YAML file; `overrides` change its fields, each as
    field.path=value, such as training.steps=2000.
    """

    name: str = Field(
        default_factory=lambda: os.environ.get("FLOWMODEL_RECIPE") or "quickstart",
        description="Name of a recipe, or path of a YAML file; default: FLOWMODEL_RECIPE, else quickstart.",
    )
    overrides: list[str] = Field(
        default=[], description="Changes to its fields, each as field.path=value, such as training.steps=2000."
    )

    def load(self) -> "Recipe":
        """Raises FlowmodelError when there is no such recipe, or a field is unknown or wrong."""
        from flowmodel.recipes import load_recipe

        return load_recipe(self.name, self.overrides)
