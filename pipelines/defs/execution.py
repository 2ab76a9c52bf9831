"""Resources, console and executor of every run."""

import os

import dagster as dg

from pipelines.artifacts import ArtifactIOManager
from pipelines.console import console_logger
from pipelines.resources import RecipeResource, StoreResource
from pipelines.stale_runs import holding_run_lock
from pipelines.trainer import TrainerResource

_store = StoreResource()


def on_kubernetes() -> bool:
    return os.environ.get("FLOWMODEL_EXECUTOR") == "kubernetes"


def _executor() -> dg.ExecutorDefinition:
    """One process per run; with FLOWMODEL_EXECUTOR=kubernetes, a pod per step, so that training alone asks for a GPU."""
    if on_kubernetes():
        from dagster_k8s import k8s_job_executor

        return k8s_job_executor
    return dg.in_process_executor


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
        executor=holding_run_lock(_executor()),
    )
