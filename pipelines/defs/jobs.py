"""The two ways to make everything."""

import dagster as dg

# Named in the run's configuration, a logger replaces Dagster's own; the event log in the UI keeps everything all the same.
_CONSOLE = {"console": {"config": {"log_level": "INFO"}}}

quickstart = dg.define_asset_job(
    "quickstart",
    selection=dg.AssetSelection.all(),
    description="Everything, from icons to a registered generator; recipe `quickstart`, or the one in FLOWMODEL_RECIPE.",
    config={"loggers": _CONSOLE},
)

retrain = dg.define_asset_job(
    "retrain",
    selection=dg.AssetSelection.all(),
    description="Everything anew with the recipe `laptop`: sources are read again, and a better model becomes champion.",
    config={"loggers": _CONSOLE, "resources": {"recipe": {"config": {"name": "laptop"}}}},
)
