"""The trained checkpoint, and the checkpoint with a finisher."""

import shutil
import time
from typing import Any

import dagster as dg
from pydantic import Field

from flowmodel.data.dataset import IconDataset
from flowmodel.files import Artifact
from pipelines.automation import on_changed_data
from pipelines.failures import readable_failures
from pipelines.reporting import link, materialized
from pipelines.resources import RecipeResource, StoreResource


class TrainingOptions(dg.Config):
    fresh: bool = Field(False, description="Discard an existing training, finished or not, and start at step 0.")


@dg.asset(
    group_name="3_train",
    kinds={"pytorch", "mlflow"},
    pool="accelerator",
    automation_condition=on_changed_data,
)
@readable_failures()
def flow_checkpoint(
    context: dg.AssetExecutionContext,
    config: TrainingOptions,
    store: StoreResource,
    recipe: RecipeResource,
    icon_dataset: IconDataset,
) -> dg.MaterializeResult[Artifact]:
    """The trained network. An interrupted training resumes, and a finished one on the same recipe and data is reused."""
    from flowmodel.registry.observer import MlflowObserver
    from flowmodel.registry.tracking import Tracking
    from flowmodel.training.loop import train, training_folder
    from pipelines.progress import ProgressLog

    started = time.perf_counter()
    chosen = recipe.load()
    folder = training_folder(store.open(), chosen, icon_dataset)
    if config.fresh:
        shutil.rmtree(folder, ignore_errors=True)
    mlflow = MlflowObserver(Tracking.of(store.open()), icon_dataset, _origin(context), context.log.warning)
    # MLflow comes first, so that the log shows the link before the training begins.
    progress = ProgressLog(context.log, lambda: mlflow.run.url if mlflow.run else None)
    result = train(chosen, icon_dataset, folder, [mlflow, progress])
    assert mlflow.run is not None, "a training begins its run"
    return materialized(
        Artifact(result.checkpoint.path, result.checkpoint.digest),
        started,
        mlflow_run=link("the run in MLflow", mlflow.run.url),
        recipe=chosen.name,
        steps=result.steps,
        trained_now=not result.already_finished,
        resumed_from=result.resumed_from or 0,
        dataset=icon_dataset.digest,
    )


@dg.asset(
    group_name="3_train",
    kinds={"pytorch", "mlflow"},
    pool="accelerator",
    automation_condition=on_changed_data,
)
@readable_failures()
def finisher(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    recipe: RecipeResource,
    flow_checkpoint: Artifact,
    icon_dataset: IconDataset,
) -> dg.MaterializeResult[Artifact]:
    """The model with a finisher, trained on the model's samples; without one in the recipe, the unchanged checkpoint."""
    from flowmodel.data.prepare import prepare_targets
    from flowmodel.model.checkpoint import Checkpoint
    from flowmodel.registry.observer import run_of_checkpoint
    from flowmodel.registry.tracking import Tracking
    from flowmodel.training.finishing import finish

    started = time.perf_counter()
    chosen, files = recipe.load(), store.open()
    checkpoint = Checkpoint.open(flow_checkpoint.path, flow_checkpoint.digest)
    targets = prepare_targets(chosen, files, log=context.log.info)
    finished = finish(chosen, checkpoint, icon_dataset, targets, log=context.log.info)
    run = run_of_checkpoint(Tracking.of(files), finished.checkpoint, icon_dataset, _origin(context))
    own = finished.checkpoint.header.finisher
    curve: dict[str, Any] = {"steps": own.curve[-1][0], "loss": own.curve[-1][1]} if own else {}
    if own is None:
        context.log.info(f"recipe {chosen.name} has no finisher: the checkpoint is passed on unchanged")
    return materialized(
        Artifact(finished.checkpoint.path, finished.checkpoint.digest),
        started,
        recipe=chosen.name,
        finisher=own.digest if own else "none in the recipe",
        trained_now=finished.trained_now,
        **curve,
        mlflow_run=link("the run in MLflow", run.url),
    )


def _origin(context: dg.AssetExecutionContext) -> dict[str, str]:
    """Tags of an MLflow run about what started it."""
    from flowmodel.registry.origin import ENTRY_POINT

    return {
        "dagster_run_id": context.run.run_id,
        "dagster_asset_key": context.asset_key.to_user_string(),
        ENTRY_POINT: f"dagster job {context.run.job_name}",
    }
