"""The trained checkpoint, and the checkpoint with a finisher."""

import shutil
import time

import dagster as dg
from pydantic import Field

from flowmodel.data.dataset import IconDataset
from flowmodel.files import Artifact
from flowmodel.store import Store
from pipelines.automation import on_changed_data
from pipelines.failures import readable_failures
from pipelines.reporting import link, materialized
from pipelines.resources import RecipeResource, StoreResource
from pipelines.trainer import TrainerResource
from pipelines.work import Outcome, Task

# What a step's pod asks for on Kubernetes; elsewhere nothing reads it.
ON_GPU = {"dagster-k8s/config": {"container_config": {"resources": {"limits": {"nvidia.com/gpu": "1"}}}}}


class TrainingOptions(dg.Config):
    fresh: bool = Field(False, description="Discard an existing training, finished or not, and start at step 0.")


@dg.asset(
    group_name="3_train",
    kinds={"pytorch", "mlflow"},
    pool="accelerator",
    op_tags=ON_GPU,
    automation_condition=on_changed_data,
)
@readable_failures()
def flow_checkpoint(
    context: dg.AssetExecutionContext,
    config: TrainingOptions,
    store: StoreResource,
    recipe: RecipeResource,
    trainer: TrainerResource,
    icon_dataset: IconDataset,
) -> dg.MaterializeResult[Artifact]:
    """The trained network. An interrupted training resumes, and a finished one on the same recipe and data is reused."""
    from flowmodel.training.loop import training_folder

    started, chosen, files = time.perf_counter(), recipe.load(), store.open()
    if config.fresh:
        shutil.rmtree(training_folder(files, chosen, icon_dataset), ignore_errors=True)
    task = Task(context.asset_key.to_user_string(), chosen.model_dump(mode="json"), files.relative(icon_dataset.folder))
    outcome = trainer.carry_out(context, task, files)
    return _result(outcome, files, started, recipe=chosen.name, dataset=icon_dataset.digest)


@dg.asset(
    group_name="3_train",
    kinds={"pytorch", "mlflow"},
    pool="accelerator",
    op_tags=ON_GPU,
    automation_condition=on_changed_data,
)
@readable_failures()
def finisher(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    recipe: RecipeResource,
    trainer: TrainerResource,
    flow_checkpoint: Artifact,
    icon_dataset: IconDataset,
) -> dg.MaterializeResult[Artifact]:
    """The model with a finisher, trained on the model's samples; without one in the recipe, the unchanged checkpoint."""
    from flowmodel.data.prepare import prepare_targets

    started, chosen, files = time.perf_counter(), recipe.load(), store.open()
    targets = prepare_targets(chosen, files, log=context.log.info)
    task = Task(
        context.asset_key.to_user_string(),
        chosen.model_dump(mode="json"),
        files.relative(icon_dataset.folder),
        files.relative(targets.folder) if targets else "",
        files.relative(flow_checkpoint.path),
        flow_checkpoint.digest,
    )
    return _result(trainer.carry_out(context, task, files), files, started, recipe=chosen.name)


def _result(outcome: Outcome, store: Store, started: float, **shown: str) -> dg.MaterializeResult[Artifact]:
    return materialized(
        Artifact(store.locate(outcome["path"]), outcome["digest"]),
        started,
        mlflow_run=link("the run in MLflow", outcome["mlflow_run"]),
        **shown,
        **outcome["shown"],
    )
