"""From prepared data to a checkpoint."""

import shutil
import time

import dagster as dg
from pydantic import Field

from flowmodel.data.dataset import IconDataset
from flowmodel.files import Artifact
from pipelines.automation import on_changed_data
from pipelines.failures import readable_failures
from pipelines.reporting import materialised
from pipelines.resources import RecipeResource, StoreResource


class TrainingOptions(dg.Config):
    fresh: bool = Field(False, description="Forget what there is of this training, finished or not, and begin at step 0.")


@dg.asset(
    group_name="train",
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
    """The trained network. An interrupted training resumes; one that was finished on the same recipe and data is not repeated."""
    from flowmodel.registry.observer import MlflowObserver
    from flowmodel.registry.origin import ENTRY_POINT
    from flowmodel.registry.tracking import Tracking
    from flowmodel.training.loop import train, training_folder
    from pipelines.progress import ProgressLog

    started = time.perf_counter()
    chosen = recipe.load()
    folder = training_folder(store.open(), chosen, icon_dataset)
    if config.fresh:
        shutil.rmtree(folder, ignore_errors=True)
    origin = {"dagster_run_id": context.run.run_id, "dagster_asset_key": context.asset_key.to_user_string()}
    origin[ENTRY_POINT] = f"dagster job {context.run.job_name}"
    mlflow = MlflowObserver(Tracking.of(store.open()), icon_dataset, origin)
    result = train(chosen, icon_dataset, folder, [ProgressLog(context.log), mlflow])
    return materialised(
        Artifact(result.checkpoint.path, result.checkpoint.digest),
        started,
        recipe=chosen.name,
        steps=result.steps,
        trained_now=not result.already_finished,
        resumed_from=result.resumed_from or 0,
        dataset=icon_dataset.digest,
        mlflow_run=dg.MetadataValue.url(mlflow.run.url),
    )
