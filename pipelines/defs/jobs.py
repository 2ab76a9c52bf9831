"""The two ways to make everything, the one to read the sources only, and the one to compare networks."""

import dagster as dg

from pipelines.stale_runs import holding_run_lock

# Named in the run's configuration, a logger replaces Dagster's own; the event log in the UI keeps everything all the same.
_CONSOLE = {"console": {"config": {"log_level": "INFO"}}}

# Five more trainings, which nobody needs who wants a generator.
_COMPARISON = dg.AssetSelection.assets("architecture_comparison")
_EVERYTHING = dg.AssetSelection.all() - _COMPARISON

quickstart = dg.define_asset_job(
    "quickstart",
    selection=_EVERYTHING,
    description="Everything, from icons to a registered generator; recipe `quickstart`, or the one in FLOWMODEL_RECIPE.",
    config={"loggers": _CONSOLE},
)

retrain = dg.define_asset_job(
    "retrain",
    selection=_EVERYTHING,
    description="Everything anew with the recipe `laptop`: sources are read again, and a better model becomes champion.",
    config={"loggers": _CONSOLE, "resources": {"recipe": {"config": {"name": "laptop"}}}},
)

ingest = dg.define_asset_job(
    "ingest",
    selection=dg.AssetSelection.groups("ingest"),
    description="Reads the sources, three at a time. One that fails stops no other; run again, it fetches only what is missing.",
    config={"loggers": _CONSOLE, "execution": {"config": {"max_concurrent": 3}}},
    # A process for each source: they wait for the network at the same time, and none can take the others down.
    executor_def=holding_run_lock(dg.multiprocess_executor),
)

compare_architectures = dg.define_asset_job(
    "compare_architectures",
    selection=_COMPARISON.upstream(),
    description="Five networks under one budget: table and picture. Recipe `from_scratch`, or the run configuration's.",
    # Not the quickstart's: its network has the size of the shipped weights, and no other network could begin from those.
    config={"loggers": _CONSOLE, "resources": {"recipe": {"config": {"name": "from_scratch"}}}},
)
