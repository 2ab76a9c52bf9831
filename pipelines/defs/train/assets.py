"""From prepared data to a checkpoint."""

import shutil
import time

import dagster as dg
from pydantic import Field

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
    normalized_icons: Artifact,
    rgba_tensors: Artifact,
    captions: Artifact,
    caption_embeddings: Artifact,
    splits: Artifact,
) -> dg.MaterializeResult[Artifact]:
    """The trained network. An interrupted training resumes; one that was finished on the same recipe and data is not repeated."""
    from flowmodel.training.inputs import TrainingInputs
    from flowmodel.training.loop import train, training_folder
    from pipelines.progress import ProgressLog

    started = time.perf_counter()
    inputs = TrainingInputs(normalized_icons, rgba_tensors, captions, caption_embeddings, splits)
    chosen = recipe.load()
    folder = training_folder(store.open(), chosen, inputs)
    if config.fresh:
        shutil.rmtree(folder, ignore_errors=True)
    result = train(chosen, inputs, folder, [ProgressLog(context.log)])
    return materialised(
        result.checkpoint,
        started,
        recipe=chosen.name,
        steps=result.steps,
        trained_now=not result.already_finished,
        resumed_from=result.resumed_from or 0,
        dataset=inputs.digest,
    )
