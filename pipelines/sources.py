"""The entries of `sources.yaml` as Dagster sees them."""

from typing import TYPE_CHECKING

import dagster as dg

from flowmodel.data.sources.config import SourceConfig
from flowmodel.data.sources.loading import load_sources, sources_file

if TYPE_CHECKING:
    from flowmodel.data.sources.context import SourceContext
    from flowmodel.store import Store


def icon_sources() -> list[SourceConfig]:
    return load_sources(sources_file())


def icon_styles() -> dict[str, str]:
    """What captions call each source's drawing style, by the source's name."""
    return {source.name: source.style for source in icon_sources()}


def icons_key(source: SourceConfig) -> dg.AssetKey:
    return dg.AssetKey(["icons", source.name])


def source_context(store: "Store", log: dg.DagsterLogManager) -> "SourceContext":
    from flowmodel.data.sources.context import SourceContext
    from flowmodel.store import PROJECT_ROOT

    return SourceContext(PROJECT_ROOT, store.downloads, log.info)
