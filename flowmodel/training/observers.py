"""The callbacks of a training. The loop itself does not depend on terminals, Dagster or MLflow."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from flowmodel.data.terms import Terms
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.model.device import DevicePolicy
from flowmodel.nets import Cost
from flowmodel.recipes import Recipe
from flowmodel.recipes.split import Split
from flowmodel.training.prediction_error import ByTime


@dataclass(frozen=True)
class TrainingStart:
    recipe: Recipe
    folder: Path
    cost: Cost
    policy: DevicePolicy
    processes: int
    dataset_digest: str
    trained_ids: tuple[str, ...]
    terms: tuple[Terms, ...]
    validation_icons: int
    first_step: int

    @property
    def resumed(self) -> bool:
        return self.first_step > 0


@dataclass(frozen=True)
class TrainingResult:
    """Attributes:
    checkpoint: final.safetensors.
    steps: steps of the weights in the checkpoint.
    seconds: wall time of this call.
    resumed_from: the step that this call resumed from; None if it started at step 0.
    already_finished: True if there was nothing left to do.
    stopped_early: True if the validation loss had stopped improving.
    """

    checkpoint: Checkpoint
    steps: int
    seconds: float
    resumed_from: int | None
    already_finished: bool
    stopped_early: bool


class TrainingObserver:
    """Base class of observers; override the callbacks of interest. Steps count from 1."""

    def on_note(self, line: str) -> None:
        """Called with the progress of preparations, such as sampling a teacher's trajectories, before :meth:`on_start`."""

    def on_start(self, start: TrainingStart) -> None:
        """Called before the first step, but not for a training that has already finished."""

    def on_log(self, step: int, values: dict[str, float]) -> None:
        """Means since the last call: loss, gradient_norm, learning_rate, images_per_second, eta_seconds, and the loss by time."""

    def on_validation(self, step: int, values: dict[str, float]) -> None:
        """Losses of the averaged weights: loss (the best average's), train_loss, best_loss (so far), and the loss by time."""

    def on_prediction_error(self, step: int, errors: dict[Split, ByTime]) -> None:
        """The error of the predicted image by t with the first average, for training and validation icons."""

    def on_grid(self, step: int, grid: Image.Image) -> None:
        """A grid of samples from the averaged weights."""

    def on_checkpoint(self, step: int, path: Path) -> None:
        """A checkpoint to resume from has been written."""

    def on_end(self, result: TrainingResult) -> None:
        """Called after final.safetensors has been written, and also if it already existed."""

    def on_failure(self, error: BaseException) -> None:
        """The training stops with `error`, which may be a KeyboardInterrupt and is raised again afterward."""
