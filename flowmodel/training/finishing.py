"""Adds a finisher to a finished training: samples the training icons, trains on them, and writes both networks into one file."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from flowmodel.content import tensors_digest
from flowmodel.data.dataset import IconDataset
from flowmodel.errors import FlowmodelError
from flowmodel.files import sha256_json
from flowmodel.model.checkpoint import FINISHED, Checkpoint, FinisherHeader, save_checkpoint
from flowmodel.model.device import DevicePolicy
from flowmodel.model.generator import Generator
from flowmodel.recipes import Recipe
from flowmodel.recipes.identity import DEFAULTS, identity
from flowmodel.recipes.schema import FinisherConfig
from flowmodel.training.finisher import Report, train_finisher
from flowmodel.training.initial import initial_checkpoint
from flowmodel.training.pairs import draw_pairs

FOLDER = "finisher"  # next to the checkpoint, while the training is unfinished


@dataclass(frozen=True)
class Finished:
    """Attributes:
    checkpoint: generator and finisher, or the generator's own if the recipe has no finisher.
    trained_now: False if there was nothing to do.
    """

    checkpoint: Checkpoint
    trained_now: bool


def finish(
    recipe: Recipe,
    checkpoint: Checkpoint,
    dataset: IconDataset,
    targets: IconDataset | None = None,
    log: Callable[[str], None] = lambda line: None,
    report: Report = lambda step, loss: None,
) -> Finished:
    """Train the recipe's finisher for the generator in `checkpoint`, and write both to `finished.safetensors` next to it.

    An existing file with the same result is reused. Without a section `finisher` the checkpoint is returned unchanged.

    Args:
        dataset: the icons that the generator was trained on.
        targets: the same icons at the finisher's output size, if it enlarges.
        log: receives progress lines.
        report: receives the points of the loss curve while it trains.

    Raises:
        Resumable: Ctrl-C or SIGTERM stopped it; the same call continues.
        FlowmodelError: the pairs can't be made, the initial weights don't fit, or the loss is no longer finite.
    """
    folder = checkpoint.path.with_name(FOLDER)
    if (there := already_finished(recipe, checkpoint, dataset, targets)) is not None:
        if there is not checkpoint:
            shutil.rmtree(folder, ignore_errors=True)  # left by a call that was killed here
        return Finished(there, trained_now=False)
    assert recipe.finisher is not None
    config, training, initial = recipe.finisher, recipe.training, _initial(recipe.finisher.init_from)
    digest = _training_digest(recipe, config, checkpoint, dataset, targets, initial)
    path = checkpoint.path.with_name(FINISHED)
    policy = DevicePolicy.choose(training.device, training.precision, training.compile)
    pairs = draw_pairs(Generator.load(checkpoint, policy.device), dataset, recipe, folder, targets, log)
    trained = train_finisher(config, pairs, policy, folder, training.seed, initial, log, report)
    header = replace(
        checkpoint.header,
        recipe=checkpoint.header.recipe | {"finisher": config.model_dump(mode="json")},
        finisher=FinisherHeader(config.model_dump(mode="json"), tensors_digest(trained.weights), digest, trained.curve),
    )
    tensors = {f"ema.{name}": value for name, value in checkpoint.tensors("ema.").items()}
    saved = save_checkpoint(path, tensors | {f"finisher.{name}": value for name, value in trained.weights.items()}, header)
    shutil.rmtree(folder, ignore_errors=True)
    return Finished(saved, trained_now=True)


def already_finished(
    recipe: Recipe, checkpoint: Checkpoint, dataset: IconDataset, targets: IconDataset | None = None
) -> Checkpoint | None:
    """What :func:`finish` would return without training anything; None if it would train.

    Raises FlowmodelError as that does.
    """
    if recipe.finisher is None:
        return checkpoint
    path = checkpoint.path.with_name(FINISHED)
    if not path.exists():
        return None
    there = Checkpoint.open(path)
    own, initial = there.header.finisher, _initial(recipe.finisher.init_from)
    wanted = _training_digest(recipe, recipe.finisher, checkpoint, dataset, targets, initial)
    return there if own and own.training_digest == wanted else None


def _training_digest(
    recipe: Recipe,
    config: FinisherConfig,
    checkpoint: Checkpoint,
    dataset: IconDataset,
    targets: IconDataset | None,
    initial: dict[str, Tensor] | None,
) -> str:
    return sha256_json(
        {
            "defaults": DEFAULTS,
            "generator": checkpoint.digest,
            "finisher": identity(config, {"init_from"}),
            "init": tensors_digest(initial) if initial else None,
            "seed": recipe.training.seed,
            "data": [dataset.digest, targets.digest if targets else None],
        }
    )


def _initial(init: str | None) -> dict[str, Tensor] | None:
    """The finisher's weights in the checkpoint that `finisher.init_from` names."""
    if init is None:
        return None
    checkpoint = initial_checkpoint(init)
    weights = checkpoint.tensors("finisher.")
    if not weights:
        raise FlowmodelError(
            f"finisher.init_from: {checkpoint} has no finisher; use the finished.safetensors of a training that has one"
        )
    return {name: tensor.float() for name, tensor in weights.items()}
