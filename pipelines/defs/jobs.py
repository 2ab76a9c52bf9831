"""The two names under which everything is made, and the job that reads the sources only.

No job chooses a recipe: the name that their configuration begins with, for a person to change in the Launchpad, is that of the
deployment's (:class:`pipelines.resources.RecipeResource`), which is trained by whatever way.
"""

from functools import partial

import dagster as dg

from pipelines.resources import RecipeResource
from pipelines.stale_runs import holding_run_lock

# Named in the run's configuration, a logger replaces Dagster's own; the event log in the UI keeps everything all the same.
CONSOLE = {"console": {"config": {"log_level": "INFO"}}}

ingest = dg.define_asset_job(
    "ingest",
    selection=dg.AssetSelection.groups("1_ingest"),
    description="Reads the sources, three at a time. A failing one stops no other; a second run fetches what is missing.",
    config={"loggers": CONSOLE, "execution": {"config": {"max_concurrent": 3}}},
    # A process for each source: they wait for the network at the same time, and none can take the others down.
    executor_def=holding_run_lock(dg.multiprocess_executor),
)


@dg.definitions
def jobs() -> dg.Definitions:
    """One job under two names, so that the list of runs shows whether a person or the schedule started it.

    Made when the definitions are, because they name the recipe of the environment.
    """
    recipe = {"recipe": {"config": {"name": RecipeResource().name, "overrides": []}}}
    config = {"loggers": CONSOLE, "resources": recipe}
    everything = partial(dg.define_asset_job, selection=dg.AssetSelection.all(), config=config)
    quickstart = everything(
        "quickstart",
        description="Everything, from icons to a registered generator; recipe `quickstart`, or the one in FLOWMODEL_RECIPE.",
    )
    retrain = everything(
        "retrain",
        description="The same, for the schedule: reads the sources again and trains a generator if something has changed.",
    )
    return dg.Definitions(jobs=[quickstart, retrain, ingest])
