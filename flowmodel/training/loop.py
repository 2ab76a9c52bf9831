"""The training loop.

Shape suffixes: N icons, C channels, H/W height and width.
"""

import math
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from flowmodel.errors import FlowmodelError
from flowmodel.files import Artifact, sha256_json
from flowmodel.flow.sampling import sample, seeded_noise
from flowmodel.icons.grid import picture_grid
from flowmodel.icons.rgba import to_image
from flowmodel.nets import count_parameters
from flowmodel.recipes import Recipe
from flowmodel.store import Store
from flowmodel.training.checkpoint import FINAL, read_header, refuse_other_training, remove_old, step_checkpoints, step_path
from flowmodel.training.inputs import TrainingInputs
from flowmodel.training.observers import TrainingObserver, TrainingResult, TrainingStart
from flowmodel.training.progress import ProgressWindow
from flowmodel.training.state import TrainingState

GRID_ICONS = 24


def training_digest(recipe: Recipe, inputs: TrainingInputs) -> str:
    """Names a training: the data set, and the sections of the recipe that shape the weights."""
    sections = recipe.model_dump(mode="json", include={"data", "network", "objective", "training"})
    for bookkeeping in ("log_every", "grid_every", "checkpoint_every", "keep_checkpoints"):
        del sections["training"][bookkeeping]
    return sha256_json({"recipe": sections, "data": inputs.digest})


def training_folder(store: Store, recipe: Recipe, inputs: TrainingInputs) -> Path:
    """Where the pipeline keeps this training: the same recipe and data set always find the same folder again."""
    return store.trainings / f"{recipe.name}-{training_digest(recipe, inputs)[:12]}"


def train(recipe: Recipe, inputs: TrainingInputs, folder: Path, observers: Sequence[TrainingObserver] = ()) -> TrainingResult:
    """Train until `folder/final.safetensors` is there; continue from the newest checkpoint that `folder` holds.

    On the CPU an interrupted and continued training ends with bit-identical weights.

    Raises:
        FlowmodelError: `folder` holds a training of another recipe or data set, there is nothing to train on, the device is
            missing, or the loss is no longer finite.
    """
    started = time.monotonic()
    final = folder / FINAL
    digest = training_digest(recipe, inputs)
    resumed_from = None
    already_finished = final.exists()
    if already_finished:
        refuse_other_training(final, read_header(final), digest)
    else:
        try:
            resumed_from = _run(recipe, inputs, folder, digest, observers)
        except BaseException as error:
            for observer in observers:
                observer.on_failure(error)
            raise
    seconds = time.monotonic() - started
    result = TrainingResult(Artifact.of(final), recipe.training.steps, seconds, resumed_from, already_finished)
    for observer in observers:
        observer.on_end(result)
    return result


def _run(recipe: Recipe, inputs: TrainingInputs, folder: Path, digest: str, observers: Sequence[TrainingObserver]) -> int | None:
    """Train to the end; returns the step that it continued from, or None."""
    config = recipe.training
    first_step, newest = next(reversed(step_checkpoints(folder)), (0, None))
    if newest:
        refuse_other_training(newest, read_header(newest), digest)
    state = TrainingState(recipe, inputs, digest)
    if newest:
        state.restore(newest)
    start = TrainingStart(
        recipe=recipe,
        folder=folder,
        parameters=count_parameters(state.network),
        device=state.policy.device,
        dataset_digest=inputs.digest,
        trained_ids=state.data.ids,
        first_step=first_step,
    )
    for observer in observers:
        observer.on_start(start)

    window = ProgressWindow(config)
    for done in range(first_step + 1, config.steps + 1):
        is_last = done == config.steps
        window.add(*state.step(done - 1))
        if done % config.log_every == 0 or is_last:
            values = window.close(done)
            _require_finite(values["loss"], done, recipe, folder)
            for observer in observers:
                observer.on_log(done, values)
        with window.paused():
            if done % config.checkpoint_every == 0 and not is_last:
                path = state.save(step_path(folder, done), done)
                remove_old(folder, config.keep_checkpoints)
                for observer in observers:
                    observer.on_checkpoint(done, path)
            if observers and (done % config.grid_every == 0 or is_last):
                grid = _grid(state, recipe)
                for observer in observers:
                    observer.on_grid(done, grid)
    state.save_final(folder / FINAL)
    remove_old(folder, keep=0)
    return first_step or None


def _require_finite(loss: float, step: int, recipe: Recipe, folder: Path) -> None:
    if not math.isfinite(loss):
        raise FlowmodelError(
            f"{folder}: the loss is not finite at step {step}; lower training.learning_rate "
            f"(now {recipe.training.learning_rate:g}) and train again"
        )


def _grid(state: TrainingState, recipe: Recipe) -> Image.Image:
    """What the averaged weights draw for the first captions of some training icons, the same ones every time."""
    icons = torch.linspace(0, len(state.data.ids) - 1, min(GRID_ICONS, len(state.data.ids))).long().tolist()
    device = state.policy.device
    text = state.data.text[torch.tensor([state.data.captions_of[icon][0] for icon in icons], device=device)]
    noise_NCHW = seeded_noise(len(icons), recipe.data.size, seed=0).to(device)
    with state.averaged_weights() as network, state.policy.autocast_context():
        rgba_NCHW = sample(network, text, noise_NCHW, recipe.sampling, recipe.objective.prediction)
    return picture_grid([to_image(rgba_CHW) for rgba_CHW in rgba_NCHW], columns=8)
