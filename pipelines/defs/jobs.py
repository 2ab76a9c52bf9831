"""The two jobs that run the whole pipeline, and the job that only reads the sources.

No job chooses a recipe. The recipe in their initial configuration, which can be changed in the Launchpad, is the deployment's
(:class:`pipelines.resources.RecipeResource`).
"""

from functools import partial

import dagster as dg

from pipelines.resources import RecipeResource
from pipelines.stale_runs import holding_run_lock

# A logger in the run's configuration replaces Dagster's own; the event log in the UI still has everything.
CONSOLE = {"console": {"config": {"log_level": "INFO"}}}

ingest = dg.define_asset_job(
    "ingest",
    selection=dg.AssetSelection.groups("1_ingest"),
    description="Reads the sources, three at a time. A failure does not stop the others; a second run fetches the rest.",
    config={"loggers": CONSOLE, "execution": {"config": {"max_concurrent": 3}}},
    # A process for each source, so that they wait for the network in parallel and a crash of one does not affect the others.
    executor_def=holding_run_lock(dg.multiprocess_executor),
)


@dg.definitions
def jobs() -> dg.Definitions:
    """The same job under two names, so that the list of runs shows whether a person or the schedule started it.

    Created together with the definitions, because it names the environment's recipe.
    """
    recipe = {"recipe": {"config": {"name": RecipeResource().name, "overrides": []}}}
    config = {"loggers": CONSOLE, "resources": recipe}
    everything = partial(dg.define_asset_job, selection=dg.AssetSelection.all(), config=config)
    quickstart = everything(
        "quickstart",
        description="Runs everything, from icons to a registered generator, with the recipe `quickstart` or FLOWMODEL_RECIPE.",
    )
    retrain = everything(
        "retrain",
        description="The same job, for the schedule: reads the sources again and trains a generator if something has changed.",
    )
    return dg.Definitions(jobs=[quickstart, retrain, ingest])
