"""The two names under which everything is made, and the job that reads the sources only.

No job names a recipe: what is trained, by whatever way, is the deployment's (:class:`pipelines.resources.RecipeResource`).
"""

from functools import partial

import dagster as dg

from pipelines.stale_runs import holding_run_lock

# Named in the run's configuration, a logger replaces Dagster's own; the event log in the UI keeps everything all the same.
CONSOLE = {"console": {"config": {"log_level": "INFO"}}}

# Where the Launchpad begins, for a person to fill. The recipe is the deployment's, unless a `name` is written here as well.
RECIPE: dict[str, dict[str, dict[str, list[str]]]] = {"recipe": {"config": {"overrides": []}}}

# One job under two names, so that the list of runs shows whether a person or the schedule started it.
_everything = partial(dg.define_asset_job, selection=dg.AssetSelection.all(), config={"loggers": CONSOLE, "resources": RECIPE})

quickstart = _everything(
    "quickstart",
    description="Everything, from icons to a registered generator; recipe `quickstart`, or the one in FLOWMODEL_RECIPE.",
)
retrain = _everything(
    "retrain",
    description="The same, for the schedule: reads the sources again and trains a generator if something has changed.",
)

ingest = dg.define_asset_job(
    "ingest",
    selection=dg.AssetSelection.groups("ingest"),
    description="Reads the sources, three at a time. A failing one stops no other; a second run fetches what is missing.",
    config={"loggers": CONSOLE, "execution": {"config": {"max_concurrent": 3}}},
    # A process for each source: they wait for the network at the same time, and none can take the others down.
    executor_def=holding_run_lock(dg.multiprocess_executor),
)
