"""Which icon sources there are: `sources.yaml` beside this file, or the file that FLOWMODEL_SOURCES names."""

import os
from pathlib import Path

import dagster as dg

from flowmodel.icons.sources import SourceConfig, load_sources


def sources_file() -> Path:
    return Path(os.environ.get("FLOWMODEL_SOURCES") or Path(__file__).with_name("sources.yaml")).resolve()


def icon_sources() -> list[SourceConfig]:
    return load_sources(sources_file())


def icons_key(source: SourceConfig) -> dg.AssetKey:
    return dg.AssetKey(["icons", source.name])
