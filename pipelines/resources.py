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
    """Where everything that is generated lies; leave it out for the place that FLOWMODEL_STORE names, else data/store."""

    root: str = Field(default="", description="Folder of all generated files; empty: FLOWMODEL_STORE, else data/store.")

    def open(self) -> Store:
        return Store(Path(self.root).resolve()) if self.root else Store.from_environment()


class RecipeResource(dg.ConfigurableResource):
    """What is trained. `name` is that of a recipe, or the path of a YAML file; `overrides` are changes to its fields, each as
    field.path=value, such as training.steps=2000.
    """

    name: str = Field(
        default_factory=lambda: os.environ.get("FLOWMODEL_RECIPE") or "quickstart",
        description="Name of a recipe, or path of a YAML file; default: FLOWMODEL_RECIPE, else quickstart.",
    )
    overrides: list[str] = Field(default=[], description="Changes to it, each as field.path=value: training.steps=2000.")

    def load(self) -> "Recipe":
        """Raises FlowmodelError when there is no such recipe, or a field is unknown or wrong."""
        from flowmodel.recipes import load_recipe

        return load_recipe(self.name, self.overrides)
