"""Checks that every icon can be decoded."""

import dagster as dg

from pipelines.checking import decodes
from pipelines.sources import icon_sources, icons_key


@dg.definitions
def ingest_checks() -> dg.Definitions:
    return dg.Definitions(asset_checks=[decodes(icons_key(source)) for source in icon_sources()])
