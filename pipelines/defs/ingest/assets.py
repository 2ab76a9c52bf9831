"""One asset for each entry of sources.yaml."""

import time

import dagster as dg

from flowmodel.data.sources.config import SourceConfig
from flowmodel.files import Artifact
from pipelines.failures import readable_failures
from pipelines.icon_reports import icons_summary
from pipelines.reporting import materialized
from pipelines.resources import StoreResource
from pipelines.sources import icon_sources, icons_key, source_context


class ReadAgain(dg.Config):
    """Configuration of one run: `again` reads a source even if it looks unchanged."""

    again: bool = False


def build_icons(source: SourceConfig) -> dg.AssetsDefinition:
    @dg.asset(
        key=icons_key(source),
        group_name="1_ingest",
        kinds={"python", "parquet"},
        description=f"Icons of the source {source.name} (kind {source.kind}), as published, with names and keywords.",
        metadata={name: str(value) for name, value in source.model_dump(exclude_defaults=True).items()},
    )
    @readable_failures()
    def icons(context: dg.AssetExecutionContext, config: ReadAgain, store: StoreResource) -> dg.MaterializeResult[Artifact]:
        from flowmodel.data.sources.ingest import ingest_icons

        started = time.perf_counter()
        place = store.open()
        ingested = ingest_icons(source, source_context(place, context.log), place.icons(source.name), config.again)
        if ingested.unchanged:
            context.log.info("unchanged since the last reading; not read again")
        if not ingested.complete:
            context.log.warning("some images could not be fetched; they are quarantined, and the next run retries them")
        return materialized(
            ingested.artifact,
            started,
            **icons_summary(ingested.artifact.path),
            version=ingested.version,
            unchanged=ingested.unchanged,
            complete=ingested.complete,
        )

    return icons


@dg.definitions
def ingest() -> dg.Definitions:
    return dg.Definitions(assets=[build_icons(source) for source in icon_sources()])
