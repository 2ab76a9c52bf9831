"""One asset for each entry of sources.yaml."""

import time

import dagster as dg

from flowmodel.files import Artifact
from flowmodel.icons.source_config import SourceConfig
from flowmodel.store import PROJECT_ROOT
from pipelines.failures import readable_failures
from pipelines.reporting import icons_summary, materialised
from pipelines.resources import StoreResource
from pipelines.sources import icon_sources, icons_key


def build_icons(source: SourceConfig) -> dg.AssetsDefinition:
    @dg.asset(
        key=icons_key(source),
        group_name="ingest",
        kinds={"python", "parquet"},
        description=f"Icons of the source {source.name} ({source.kind}: {source.path}) as they came, with names and keywords.",
        metadata={"licence": source.licence, "origin": source.origin},
    )
    @readable_failures()
    def icons(store: StoreResource) -> dg.MaterializeResult[Artifact]:
        from flowmodel.icons.sources import ingest_icons

        started = time.perf_counter()
        artifact = ingest_icons(source, PROJECT_ROOT, store.open().icons(source.name))
        return materialised(artifact, started, **icons_summary(artifact.path))

    return icons


@dg.definitions
def ingest() -> dg.Definitions:
    return dg.Definitions(assets=[build_icons(source) for source in icon_sources()])
