"""The curves of a training in MLflow. Read-only: a missing MLflow store is not created."""

from collections.abc import Sequence

from flowmodel.errors import FlowmodelError
from flowmodel.files import read_json
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.registry.names import RUN_FILE
from flowmodel.registry.references import CHECKPOINT_DIGEST
from flowmodel.registry.runs_view import EXPERIMENT
from flowmodel.registry.tracking import Tracking

CURVES = ("training/loss", "validation/train_loss", "validation/loss")


def training_curves(tracking: Tracking, checkpoint: Checkpoint) -> dict[str, Sequence[tuple[int, float]]]:
    """The points (step, value) of each metric of the training that wrote `checkpoint`.

    Empty if MLflow has no such run or can't be used, so that a report can be written without curves.
    """
    try:
        with tracking.errors():
            return _curves(tracking, checkpoint)
    except FlowmodelError:
        return {}


def _curves(tracking: Tracking, checkpoint: Checkpoint) -> dict[str, Sequence[tuple[int, float]]]:
    reader, record = tracking.reader, checkpoint.path.parent / RUN_FILE
    if record.exists():
        run_id = read_json(record)["run_id"]
    else:  # a copy from the registry
        experiment = reader.get_experiment_by_name(EXPERIMENT)
        with_digest = f"tags.{CHECKPOINT_DIGEST} = '{checkpoint.digest}'"
        found = reader.search_runs([experiment.experiment_id], with_digest, max_results=1) if experiment else []
        if not found:
            return {}
        run_id = found[0].info.run_id
    histories = {name: reader.get_metric_history(run_id, name) for name in CURVES}
    by_step = {name: {point.step: point.value for point in history} for name, history in histories.items() if history}
    return {name: sorted(points.items()) for name, points in by_step.items()}
