"""The entries of `sources.yaml` as Dagster sees them."""

import logging
from typing import TYPE_CHECKING

import dagster as dg

from flowmodel.data.sources.config import SourceConfig
from flowmodel.data.sources.source_list import load_sources, sources_file
from pipelines.resources import RecipeResource, StoreResource

if TYPE_CHECKING:
    from flowmodel.data.prepare import Preparation
    from flowmodel.data.sources.context import SourceContext
    from flowmodel.store import Store


def icon_sources() -> list[SourceConfig]:
    return load_sources(sources_file())


def icons_key(source: SourceConfig) -> dg.AssetKey:
    return dg.AssetKey(["icons", source.name])


def source_context(store: "Store", log: logging.Logger) -> "SourceContext":
    from flowmodel.data.sources.context import SourceContext

    return SourceContext(sources_file().parent, store.downloads, log.info)


def preparation(store: StoreResource, recipe: RecipeResource, log: dg.DagsterLogManager) -> "Preparation":
    """Return the steps from those sources to the recipe's data set."""
    from flowmodel.data.prepare import Preparation

    return Preparation.of(store.open(), recipe.load().data, log=log.info)
