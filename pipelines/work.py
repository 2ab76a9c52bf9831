"""The training of the assets `flow_checkpoint` and `finisher`, without Dagster: a task that can be sent to another process as
JSON, and an outcome that can be sent back.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from flowmodel.store import Store

if TYPE_CHECKING:
    from flowmodel.data.dataset import IconDataset
    from flowmodel.recipes import Recipe

Outcome = dict[str, Any]
Report = Callable[[Mapping[str, float]], None]  # of a training's progress


@dataclass(frozen=True)
class Task:
    """A task. Paths are relative to the store, whose path may differ in another container.

    Attributes:
        asset: `flow_checkpoint` or `finisher`.
        recipe: all of its fields.
        dataset: the folder of the icons to train on.
        targets: the folder of the same icons at the finisher's output size, if it enlarges.
        checkpoint, digest: the checkpoint to train a finisher for.
    """

    asset: str
    recipe: dict[str, Any]
    dataset: str
    targets: str = ""
    checkpoint: str = ""
    digest: str = ""


class Ended(NamedTuple):
    """The end of a process that worked on a task.

    Attributes:
        messages: what it reported: progress, and at most one outcome.
        how: how it ended, for a process without an outcome.
        may_resume: whether another process should go on from its newest checkpoint.
    """

    messages: Sequence[dict[str, Any]]
    how: str
    may_resume: bool


def origin(run_id: str, asset: str, job: str | None) -> dict[str, str]:
    """Tags of an MLflow run about its origin."""
    from flowmodel.registry.origin import ENTRY_POINT

    return {"dagster_run_id": run_id, "dagster_asset_key": asset, ENTRY_POINT: f"dagster job {job}"}


def is_done(task: Task, store: Store) -> bool:
    """Whether :func:`carry_out` would find everything already trained; raises FlowmodelError as that does."""
    from flowmodel.data.dataset import IconDataset
    from flowmodel.model.checkpoint import FINAL, Checkpoint
    from flowmodel.recipes import parse_recipe
    from flowmodel.training.finishing import already_finished
    from flowmodel.training.loop import training_folder

    recipe, dataset = parse_recipe(task.recipe, where="the recipe"), IconDataset.open(store.locate(task.dataset))
    if task.asset == "flow_checkpoint":
        return (training_folder(store, recipe, dataset) / FINAL).exists()
    targets = IconDataset.open(store.locate(task.targets)) if task.targets else None
    return already_finished(recipe, Checkpoint.open(store.locate(task.checkpoint), task.digest), dataset, targets) is not None


def carry_out(task: Task, store: Store, log: logging.Logger, origin: Mapping[str, str], report: Report) -> Outcome:
    """Carry out the training of `task`, unless it is already finished. `origin` has tags of the MLflow run about its origin.

    `report` gets the progress of `flow_checkpoint` as :class:`pipelines.progress.ProgressLog` does, and the finisher's curve.

    Under `accelerate launch` every process calls this, and the outcome of all but the main one is empty.

    Raises:
        Resumable: a signal or lack of memory stopped the training; a checkpoint has been written.
        FlowmodelError: an error that the user can fix.
    """
    from flowmodel.data.dataset import IconDataset
    from flowmodel.recipes import parse_recipe

    recipe, dataset = parse_recipe(task.recipe, where="the recipe"), IconDataset.open(store.locate(task.dataset))
    if task.asset == "flow_checkpoint":
        return _train(recipe, dataset, store, log, origin, report)
    return _finish(task, recipe, dataset, store, log, origin, report)


def _train(
    recipe: "Recipe", dataset: "IconDataset", store: Store, log: logging.Logger, origin: Mapping[str, str], report: Report
) -> Outcome:
    from flowmodel.registry.observer import MlflowObserver
    from flowmodel.registry.tracking import Tracking
    from flowmodel.training.loop import train, training_folder
    from flowmodel.training.processes import is_main_process
    from pipelines.progress import ProgressLog

    folder = training_folder(store, recipe, dataset)
    if not is_main_process():
        train(recipe, dataset, folder)
        return {}
    mlflow = MlflowObserver(Tracking.of(store), dataset, origin, log.warning)
    # MLflow comes first, so that the log shows the link before the training begins.
    progress = ProgressLog(log, lambda: mlflow.run.url if mlflow.run else None, report)
    result = train(recipe, dataset, folder, [mlflow, progress])
    assert mlflow.run is not None, "a training begins its run"
    return {
        "path": store.relative(result.checkpoint.path),
        "digest": result.checkpoint.digest,
        "mlflow_run": mlflow.run.url,
        "shown": {
            "steps": result.steps,
            **progress.newest,
            "trained_now": not result.already_finished,
            "resumed_from": result.resumed_from or 0,
        },
    }


def _finish(
    task: Task,
    recipe: "Recipe",
    dataset: "IconDataset",
    store: Store,
    log: logging.Logger,
    origin: Mapping[str, str],
    report: Report,
) -> Outcome:
    from flowmodel.data.dataset import IconDataset
    from flowmodel.model.checkpoint import Checkpoint
    from flowmodel.registry.observer import run_of_checkpoint
    from flowmodel.registry.tracking import Tracking
    from flowmodel.training.finishing import finish
    from flowmodel.training.processes import is_main_process

    if not is_main_process():  # a finisher is small
        return {}
    targets = IconDataset.open(store.locate(task.targets)) if task.targets else None
    checkpoint = Checkpoint.open(store.locate(task.checkpoint), task.digest)

    def tell(step: int, loss: float) -> None:
        report({"step": step, "loss": float(f"{loss:.4g}")})

    finished = finish(recipe, checkpoint, dataset, targets, log.info, tell)
    run = run_of_checkpoint(Tracking.of(store), finished.checkpoint, dataset, origin)
    own = finished.checkpoint.header.finisher
    if own is None:
        log.info(f"recipe {recipe.name} has no finisher: the checkpoint is passed on unchanged")
    return {
        "path": store.relative(finished.checkpoint.path),
        "digest": finished.checkpoint.digest,
        "mlflow_run": run.url,
        "shown": {
            "finisher": own.digest if own else "none in the recipe",
            "trained_now": finished.trained_now,
            **({"steps": own.curve[-1][0], "loss": own.curve[-1][1]} if own else {}),
        },
    }
