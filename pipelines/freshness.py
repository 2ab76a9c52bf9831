"""Maximum ages of the sources and the champion. The UI marks overdue assets, and the sensor `nothing_fresh` reports them."""

from collections.abc import Mapping
from datetime import timedelta

import dagster as dg

from pipelines.settings import load_settings
from pipelines.sources import icon_sources, icons_key

CHAMPION = dg.AssetKey("registered_model")


def freshness_policies() -> Mapping[dg.AssetKey, dg.FreshnessPolicy]:
    """The maximum age of each asset, from the settings."""
    settings = load_settings().freshness
    days = {icons_key(source): settings.sources_days for source in icon_sources()} | {CHAMPION: settings.champion_days}
    return {key: dg.FreshnessPolicy.time_window(timedelta(days=limit)) for key, limit in days.items() if limit is not None}
