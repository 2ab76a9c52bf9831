"""The training loop.

Shape suffixes: N icons, C channels, H/W height and width.
"""

import shutil
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

from flowmodel.data.dataset import IconDataset
from flowmodel.errors import FlowmodelError, Resumable
from flowmodel.files import sha256_json, write_json
from flowmodel.flow.sampler import sample, seeded_noise
from flowmodel.images.grid import image_grid
from flowmodel.images.rgba import to_image
from flowmodel.images.tensors import CHANNELS
from flowmodel.locks import working_in
from flowmodel.model.checkpoint import (
    FINAL,
    BestSoFar,
    Checkpoint,
    read_header,
    refuse_other_training,
    remove_old,
    step_checkpoints,
    step_path,
)
from flowmodel.nets import network_cost
from flowmodel.recipes import Recipe
from flowmodel.recipes.identity import DEFAULTS, identity
from flowmodel.recipes.schema import TrainingConfig
from flowmodel.store import Store
from flowmodel.training.initial import initial_checkpoint
from flowmodel.training.interruption import Interruption
from flowmodel.training.log_window import LogWindow
from flowmodel.training.memory import is_out_of_memory
from flowmodel.training.observers import TrainingObserver, TrainingResult, TrainingStart
from flowmodel.training.post_hoc_ema import EmaSnapshots
from flowmodel.training.prediction_error import PredictionError
from flowmodel.training.processes import is_main_process
from flowmodel.training.state import TrainingState
from flowmodel.training.validation import Validation

GRID_ICONS = 24
_ERROR_ICONS = 16  # of each split; four measurements take 0.7% of the quickstart's training time
SNAPSHOTS = "ema"
TRAJECTORIES = "trajectories"  # of the teacher of a distillation

# Fields of the section `training` that affect how a training runs, but not its result.
_BOOKKEEPING = (
    "log_every",
    "sample_every",
    "checkpoint_every",
    "keep_checkpoints",
    "keep_snapshots",
    "device",
    "compile",
    "grad_accum_steps",
)


def training_digest(recipe: Recipe, dataset: IconDataset) -> str:
    """The identity of a training: a digest of the data set, the initial weights, and the recipe sections that determine the
    result.

    Raises FlowmodelError when the recipe's initial weights are missing.
    """
    ignore = {"data": ("selection",), "training": (*_BOOKKEEPING, "init_from")}
    # A student is trained for the times of its own sampling.
    shaping = ("data", "network", "objective", "training", *(("sampling",) if recipe.training.distillation.trajectories else ()))
    recipe_of = {section: identity(getattr(recipe, section), ignore.get(section, ())) for section in shaping}
    # The contents of the selection and of the initial weights matter, not their paths.
    selected = {"selected": dataset.selected_by(recipe.data)}
    initial = {"init": initial_checkpoint(recipe.training.init_from).digest} if recipe.training.init_from else {}
    return sha256_json({"defaults": DEFAULTS, "recipe": recipe_of, "data": dataset.digest} | selected | initial)


def training_folder(store: Store, recipe: Recipe, dataset: IconDataset) -> Path:
    """The folder name of this training in the store. It is always the same for the same recipe and data set."""
    return store.trainings / f"{recipe.name}-{training_digest(recipe, dataset)[:12]}"


def train(recipe: Recipe, dataset: IconDataset, folder: Path, observers: Sequence[TrainingObserver] = ()) -> TrainingResult:
    """Train until `folder/final.safetensors` exists; resume from the newest checkpoint in `folder`.

    On the CPU, a resumed training ends with bit-identical weights. Under `accelerate launch`, every process calls this
    function; only the main process writes files and calls observers.

    Raises:
        Resumable: the training was stopped by Ctrl-C, SIGTERM or lack of memory; a checkpoint has been written.
        FlowmodelError: `folder` holds a training of another recipe or data set, there are no training icons, the device is not
            available, or the loss is not finite.
    """
    with working_in(folder) if is_main_process() else nullcontext():
        return _train(recipe, dataset, folder, observers if is_main_process() else ())


def _train(recipe: Recipe, dataset: IconDataset, folder: Path, observers: Sequence[TrainingObserver]) -> TrainingResult:
    started = time.monotonic()
    final = folder / FINAL
    digest = training_digest(recipe, dataset)
    resumed_from, stopped_early = None, False
    already_finished = final.exists()
    if already_finished:
        refuse_other_training(final, read_header(final), digest)
    else:
        try:
            run = _Run(recipe, dataset, folder, digest, observers)
            resumed_from = run.first_step or None
            stopped_early = run.to_the_end()
        except BaseException as error:
            for observer in observers:
                with suppress(Exception):  # it may fail for the same reason, which is raised
                    observer.on_failure(error)
            raise
    if is_main_process():
        _remove_what_only_the_training_needed(recipe.training, folder)
    seconds = time.monotonic() - started
    checkpoint = Checkpoint.open(final)
    result = TrainingResult(checkpoint, checkpoint.header.step, seconds, resumed_from, already_finished, stopped_early)
    for observer in observers:
        observer.on_end(result)
    return result


class _Run:
    """One call of :func:`train`: its progress, and what is due after each step."""

    def __init__(
        self, recipe: Recipe, dataset: IconDataset, folder: Path, digest: str, observers: Sequence[TrainingObserver]
    ) -> None:
        self.recipe, self.config, self.folder, self.observers = recipe, recipe.training, folder, observers
        self.first_step, newest = next(reversed(step_checkpoints(folder)), (0, None))
        if newest:
            refuse_other_training(newest, read_header(newest), digest)
        self.state = TrainingState(recipe, dataset, digest, trajectories=folder / TRAJECTORIES, log=self._note)
        if newest:
            self.state.restore(newest)
        # Steps that are already done, with their validations and snapshots.
        self.done = self.first_step
        self.processes = self.state.processes
        self.failed: Exception | None = None  # raised by an observer; the step is completed first
        self.window = LogWindow(self.config, self.processes)
        self.snapshots = EmaSnapshots(folder / SNAPSHOTS)
        if self.processes.is_main:
            self.snapshots.remove_after(self.first_step)  # left by an earlier training, or by steps that are repeated
        self.snapshot_steps = _snapshot_steps(self.config)
        self.validation = self._validation(dataset)
        self.prediction_error = (
            PredictionError(dataset, recipe.data, self.state.policy, self.state.data, _ERROR_ICONS) if observers else None
        )
        self.error_every = self.config.validation.every or self.config.sample_every
        start = TrainingStart(
            recipe=recipe,
            folder=folder,
            cost=network_cost(self.state.network, CHANNELS[recipe.data.color], recipe.data.size, self.state.header.text_width),
            policy=self.state.policy,
            processes=self.processes.count,
            dataset_digest=dataset.digest,
            trained_ids=self.state.data.ids,
            terms=self.state.header.terms,
            validation_icons=self.validation.icons if self.validation else 0,
            first_step=self.first_step,
        )
        for observer in self.observers:
            observer.on_start(start)

    def _validation(self, dataset: IconDataset) -> Validation | None:
        if not self.config.validation.every:
            return None
        validation = Validation(self.recipe, dataset, self.state.policy, self.state.data)
        if validation.icons:
            return validation
        if self.config.validation.patience:
            raise FlowmodelError(
                f"{dataset.folder}: no icon of the recipe is held out for validation; raise data.split.validation, or set "
                "training.validation.patience to 0"
            )
        return None

    def _note(self, line: str) -> None:
        for observer in self.observers:
            observer.on_note(line)

    @property
    def _has_stopped_improving(self) -> bool:
        best = self.state.best
        return best is not None and 0 < self.config.validation.patience <= best.measurements_ago

    def to_the_end(self) -> bool:
        """Train; returns whether validation stopped the training early."""
        with Interruption() as interruption:
            try:
                if self.observers and self.done == 0:
                    with self.window.paused():
                        self._draw(0)  # what the initial weights draw, for comparison
                while self.done < self.config.steps and not self._has_stopped_improving:
                    self._one_step(interruption)
                self._finish(self.done)
            except BaseException as error:
                is_lack_of_memory = is_out_of_memory(error)
                if is_lack_of_memory:
                    traceback.clear_frames(error.__traceback__)  # they hold the step's activations
                self._save_before_leaving()
                if not is_lack_of_memory:
                    raise
                raise Resumable(
                    f"{self.folder}: out of memory after step {self.done} on {self.state.policy.device}; continue with a larger "
                    f"training.grad_accum_steps (now {self.config.grad_accum_steps}; it doesn't change the result)"
                ) from error
        return self._has_stopped_improving

    def _one_step(self, interruption: Interruption) -> None:
        config = self.config
        self.window.add(self.state.step(self.done))
        done = self.done + 1
        is_last = done == config.steps
        if done % config.log_every == 0 or is_last:
            self._log(done)
        with self.window.paused():
            if done in self.snapshot_steps:
                self._snapshot(done)
            if self.validation and (done % config.validation.every == 0 or is_last):
                self._validate(self.validation, done)
            if self.prediction_error and (done % self.error_every == 0 or is_last):
                self._measure_errors(self.prediction_error, done)
            self.done = done
            if self._is_interrupted(interruption):
                self._checkpoint(done)
                name = interruption.signal.name if interruption.signal else "a signal to another process"
                raise Resumable(
                    f"{self.folder}: {name} after step {done} of {config.steps}; the same command continues",
                    interruption.signal,
                    where=f"step {done} of {config.steps}",
                )
            if done % config.checkpoint_every == 0 and not is_last:
                self._checkpoint(done)
            if self.observers and (done % config.sample_every == 0 or is_last):
                self._draw(done)
        if self.failed:
            raise self.failed

    def _save_before_leaving(self) -> None:
        """Save the last complete step, unless the weights have changed since, or other processes would have to take part."""
        self.state.forget_gradients()
        is_complete = self.state.steps_done == self.done > self.first_step and self.processes.count == 1
        if is_complete and not step_path(self.folder, self.done).exists():
            with suppress(Exception):  # saving may fail for the same reason
                self._checkpoint(self.done)

    def _is_interrupted(self, interruption: Interruption) -> bool:
        if self.processes.count == 1:
            return interruption.signal is not None
        # All processes must stop after the same step. Asking them synchronizes with a GPU; on a CPU a step is long enough.
        is_due = self.done % self.config.log_every == 0 or self.processes.device.type == "cpu"
        return is_due and self.processes.any(interruption.signal is not None)

    def _log(self, done: int) -> None:
        self._require_finite(done)
        values = self.window.close(done)
        self._tell(lambda observer: observer.on_log(done, values))

    def _require_finite(self, done: int) -> None:
        """Raise before anything is written that a non-finite step may have corrupted."""
        step = self.window.first_non_finite(done)
        if step is None and not self.state.has_finite_weights():
            step = done  # its loss was finite, and that of the next step will not be
        if step is None:
            return
        report = self.folder / f"non-finite-step-{step:08d}.json"
        if self.processes.is_main:
            write_json(report, {"step": step, "icons": self.state.icons_of_step(step - 1)})
        raise FlowmodelError(
            f"{self.folder}: the loss is not finite at step {step} (its icons are in {report.name}); lower "
            f"training.learning_rate (now {self.config.learning_rate:g}) and train again"
        )

    def _validate(self, validation: Validation, done: int) -> None:
        """Validate both averages. The lower loss decides whether the training still improves."""
        self._require_finite(done)
        measured = []
        for average in self.state.averages:
            with self.state.averaged_weights(average) as model:
                measured.append((validation.measure(model), average.relative_width))
        values, width = self.processes.from_main(min(measured, key=lambda pair: pair[0]["loss"]))
        best = self.state.best
        if best is None or values["loss"] < best.loss:
            self.state.best = best = BestSoFar(values["loss"], done, width)
        else:
            self.state.best = best = replace(best, measurements_ago=best.measurements_ago + 1)
        self._tell(lambda observer: observer.on_validation(done, values | {"best_loss": best.loss, "ema": width}))

    def _measure_errors(self, prediction_error: PredictionError, done: int) -> None:
        with self.state.averaged_weights(self.state.averages[0]) as model:
            errors = prediction_error.measure(model)
        self._tell(lambda observer: observer.on_prediction_error(done, errors))

    def _snapshot(self, done: int) -> None:
        self._require_finite(done)
        if self.processes.is_main:
            self.snapshots.save(done, self.state.averages)

    def _checkpoint(self, done: int) -> None:
        self._require_finite(done)
        if self.processes.is_main:
            saved = self.state.save(step_path(self.folder, done), done)
            remove_old(self.folder, self.config.keep_checkpoints)
            self._tell(lambda observer: observer.on_checkpoint(done, saved.path))
        self.processes.wait()

    def _draw(self, done: int) -> None:
        grid = _grid(self.state)
        self._tell(lambda observer: observer.on_grid(done, grid))

    def _finish(self, done: int) -> None:
        if self.processes.is_main:
            width = self.config.ema
            tracked = {average.relative_width: average.state() for average in self.state.averages}
            if self.snapshot_steps and done not in self.snapshot_steps:
                self.snapshots.save(done, self.state.averages)  # validation stopped the training between two snapshots
            weights = tracked.get(width) or self.snapshots.reconstruct(done, width)
            self.state.save_average(self.folder / FINAL, weights, done, width)
        self.processes.wait()

    def _tell(self, what: Callable[[TrainingObserver], None]) -> None:
        """An observer that fails ends the training when the step is complete, so that it can be continued there."""
        for observer in self.observers:
            try:
                what(observer)
            except Exception as error:
                self.failed = self.failed or error


def _snapshot_steps(config: TrainingConfig) -> set[int]:
    """The steps after which snapshots of the averages are saved, for an EMA width chosen later; empty if none are needed."""
    if not config.keep_snapshots and config.ema in config.ema_widths:
        return set()
    return {round(config.steps * number / config.ema_snapshots) for number in range(1, config.ema_snapshots + 1)}


def _remove_what_only_the_training_needed(config: TrainingConfig, folder: Path) -> None:
    """Called also for a training that had already finished, because it may have been killed during this call."""
    remove_old(folder, keep=0)
    shutil.rmtree(folder / TRAJECTORIES, ignore_errors=True)
    if not config.keep_snapshots:
        shutil.rmtree(folder / SNAPSHOTS, ignore_errors=True)


def _grid(state: TrainingState) -> Image.Image:
    """Sample from the first average, for the first captions of a fixed choice of training icons."""
    recipe, data, device = state.recipe, state.data, state.policy.device
    icons_N = torch.linspace(0, len(data) - 1, min(GRID_ICONS, len(data))).long()
    noise_NCHW = seeded_noise(len(icons_N), recipe.data.size, seed=0, channels=CHANNELS[recipe.data.color]).to(device)
    with state.averaged_weights(state.averages[0]) as model, state.policy.autocast_context():
        rgba_NCHW = sample(model, data.first_captions(icons_N), noise_NCHW, recipe.sampling)
    return image_grid([to_image(rgba_CHW) for rgba_CHW in rgba_NCHW], columns=8)
