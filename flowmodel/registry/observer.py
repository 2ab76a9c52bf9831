"""Logs a training to its MLflow run."""

import logging
from collections.abc import Callable, Mapping

from PIL import Image

from flowmodel.data.dataset import IconDataset
from flowmodel.errors import Resumable
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.recipes.split import Split
from flowmodel.registry.outbox import Outbox, deliver
from flowmodel.registry.runs import TrainingRun
from flowmodel.registry.system_metrics import SystemMetrics
from flowmodel.registry.tracking import Tracking
from flowmodel.training.observers import TrainingObserver, TrainingResult, TrainingStart
from flowmodel.training.prediction_error import TIMES, ByTime, by_name

_logger = logging.getLogger(__name__)
_UNLOGGED = ("eta_seconds",)
_ERRORS = "prediction_error"
# How long a training waits at its end for an unavailable MLflow; a training that was stopped has to exit soon.
_END_SECONDS, _STOP_SECONDS = 60.0, 5.0


class MlflowObserver(TrainingObserver):
    """Logs parameters, curves, grids and the data set to one run, however often the training is interrupted.

    After the training has begun it continues without MLflow; unsent entries wait on disk (:mod:`outbox`).

    Attributes:
        run: the training's run, once it has begun.
    """

    def __init__(
        self,
        tracking: Tracking,
        dataset: IconDataset,
        tags: Mapping[str, str] | None = None,
        log: Callable[[str], None] = _logger.warning,
    ) -> None:
        """`log` is called with a line when MLflow becomes unavailable or available again.

        Raises FlowmodelError when MLflow can't be used before the training begins.
        """
        _ = tracking.experiment_id
        self._log_line = log
        self._tracking, self._dataset, self._tags = tracking, dataset, tags
        self.run: TrainingRun | None = None
        self._outbox: Outbox | None = None
        self._system: SystemMetrics | None = None
        self._logged_until = self._validated_until = self._errors_until = 0
        self._logged_grids: set[int] = set()

    def on_start(self, start: TrainingStart) -> None:
        self.run = TrainingRun.open(self._tracking, start.folder, start.recipe.name, self._tags)
        deliver(self.run, start.folder)
        self.run.set_status("RUNNING")
        self.run.log_parameters(
            start.recipe.model_dump(mode="json")
            | {
                "parameters": start.cost.parameters,
                "forward_flops": start.cost.forward_flops,
                "device": str(start.policy),
                "processes": start.processes,
                "trained_icons": len(start.trained_ids),
                "validation_icons": start.validation_icons,
            }
        )
        self.run.log_dataset(self._dataset, start.trained_ids, start.terms)
        # A resumed training repeats the steps since its last checkpoint; their points are already logged.
        self._logged_until = self.run.last_step("training/loss")
        self._validated_until = self.run.last_step("validation/loss")
        self._errors_until = self.run.last_step(f"{_ERRORS}/{Split.TRAIN}/t{TIMES[0]:g}")
        self._logged_grids = self.run.grid_steps()
        self._outbox = Outbox(self.run, start.folder, self._log_line)
        self._system = SystemMetrics(self.run, self._outbox)
        self._system.start()

    def on_log(self, step: int, values: dict[str, float]) -> None:
        if step > self._logged_until:
            self._log("training", values, step)

    def on_validation(self, step: int, values: dict[str, float]) -> None:
        if step > self._validated_until:
            self._log("validation", values, step)

    def on_prediction_error(self, step: int, errors: dict[Split, ByTime]) -> None:
        if step > self._errors_until:
            self._log(_ERRORS, by_name(errors), step)

    def _log(self, section: str, values: Mapping[str, float], step: int) -> None:
        if self._outbox:
            named = {f"{section}/{name}": value for name, value in values.items() if name not in _UNLOGGED}
            self._outbox.metrics(named, step)

    def on_grid(self, step: int, grid: Image.Image) -> None:
        if self._outbox and step not in self._logged_grids:
            self._outbox.grid(step, grid)

    def on_end(self, result: TrainingResult) -> None:
        if self.run is None:  # it had finished before, perhaps with another MLflow store
            self.run = run_of_checkpoint(self._tracking, result.checkpoint, self._dataset, self._tags)
            self.run.set_status("FINISHED")
        self._end("FINISHED", _END_SECONDS)

    def on_failure(self, error: BaseException) -> None:
        self._end("KILLED" if isinstance(error, (KeyboardInterrupt, Resumable)) else "FAILED", _STOP_SECONDS)

    def _end(self, status: str, seconds: float) -> None:
        if self._system:
            self._system.finish()
        if self._outbox:
            self._outbox.status(status)
            self._outbox.close(seconds)


def run_of_checkpoint(
    tracking: Tracking, checkpoint: Checkpoint, dataset: IconDataset, tags: Mapping[str, str] | None = None
) -> TrainingRun:
    """The run of the finished training that wrote `checkpoint`.

    If MLflow has no run, because the training did not use MLflow or the MLflow store is new, a run is created from the
    checkpoint's header. Raises FlowmodelError when the checkpoint or MLflow can't be used.
    """
    header = checkpoint.header
    run = TrainingRun.open(tracking, checkpoint.path.parent, header.recipe["name"], tags)
    deliver(run, checkpoint.path.parent)
    run.log_parameters(header.recipe | {"trained_icons": len(header.trained_ids)})
    run.log_dataset(dataset, header.trained_ids, header.terms)
    if header.finisher:
        run.log_finisher(header.finisher)
    return run
