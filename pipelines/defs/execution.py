"""Resources, console and executor of every run."""

import dagster as dg

from pipelines.artifacts import ArtifactIOManager
from pipelines.console import console_logger
from pipelines.resources import RecipeResource, StoreResource
from pipelines.stale_runs import holding_run_lock
from pipelines.trainer import TrainerResource

_store = StoreResource()


@dg.definitions
def resources() -> dg.Definitions:
    return dg.Definitions(
        resources={
            "store": _store,
            "recipe": RecipeResource(),
            "trainer": TrainerResource(),
            "io_manager": ArtifactIOManager(store=_store),
        },
        loggers={"console": console_logger},
        # One process per run. With one per step, each step would import torch and the code location again, which takes longer
        # than most steps. A crash loses at most a few hundred steps of an unfinished training.
        executor=holding_run_lock(dg.in_process_executor),
    )
