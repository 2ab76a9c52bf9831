"""Initial weights of a training in place of random ones: the averaged weights of a checkpoint (fine-tuning), named by its
path, or by the name of shipped ones, such as `pretrained`.

They fit only a network with the same architecture, caption vectors and kind of output. A U-Net for images of twice the size may
differ in one of two ways. With twice the stem factor, it is the same between its stem and its head. With one more outermost
level, as wide as the outermost one of the weights, it is the same in all other levels.
"""

from pathlib import Path

from torch import nn

from flowmodel.errors import FlowmodelError
from flowmodel.model.checkpoint import Checkpoint, CheckpointHeader
from flowmodel.model.pretrained import SHIPPED, pretrained_weights
from flowmodel.nets.enlarge import deepen_unet, enlarge_unet
from flowmodel.recipes import Recipe, parse_recipe
from flowmodel.recipes.networks import UNetConfig


def initial_checkpoint(init: str) -> Checkpoint:
    """Raises FlowmodelError when the checkpoint is missing or not a checkpoint."""
    return pretrained_weights(SHIPPED[init]) if init in SHIPPED else Checkpoint.open(Path(init))


def load_initial_weights(network: nn.Module, init: str, own: CheckpointHeader) -> CheckpointHeader:
    """Put the averaged weights of the checkpoint into `network`, whose training `own` describes.

    Returns its header. Raises FlowmodelError when it is missing or has no averaged weights, or they are of another network,
    encoder, color or prediction.
    """
    checkpoint = initial_checkpoint(init)
    header = checkpoint.header
    given_recipe, own_recipe = checkpoint.recipe, parse_recipe(own.recipe, where="this recipe")
    given, wanted = _make(given_recipe, header), _make(own_recipe, own)
    if larger := _enlargement(given_recipe, own_recipe):
        del wanted["network.patch_size"]
    if deeper := _is_deeper(given_recipe, own_recipe):
        del wanted["network.channels"]
    for field, value in wanted.items():
        if given[field] != value:
            raise FlowmodelError(
                f"training.init_from: the weights in {checkpoint} were trained with {field} {given[field]}, this recipe has "
                f"{value}; set the same in the recipe, or start from other weights"
            )
    weights = checkpoint.tensors("ema.")
    try:
        if larger and weights:
            weights = enlarge_unet(weights, *larger)
        if deeper and weights:
            weights = deepen_unet(weights, network.state_dict())
        network.load_state_dict(weights)
    except RuntimeError:
        raise FlowmodelError(
            f"training.init_from: {checkpoint} holds no averaged weights of a finished training; use its final.safetensors"
        ) from None
    return header


def _enlargement(given: Recipe, own: Recipe) -> tuple[int, int] | None:
    """The given network's stem, and the factors by which this network's stem and images are larger; None if they are not."""
    if not (isinstance(given.network, UNetConfig) and isinstance(own.network, UNetConfig)):
        return None
    factor, rest = divmod(own.network.patch_size, given.network.patch_size)
    is_larger = factor > 1 and rest == 0 and own.data.size == factor * given.data.size
    return (given.network.patch_size, factor) if is_larger else None


def _is_deeper(given: Recipe, own: Recipe) -> bool:
    """Whether this network has one more level for images of twice the size."""
    if not (isinstance(given.network, UNetConfig) and isinstance(own.network, UNetConfig)):
        return False
    return own.network.channels == (given.network.channels[0], *given.network.channels) and own.data.size == 2 * given.data.size


def _make(recipe: Recipe, header: CheckpointHeader) -> dict[str, object]:
    """Everything that must match, by recipe field; the kind of network comes first, because other kinds have other fields."""
    network = recipe.network.model_dump(mode="json", exclude={"dropout"})
    return {
        **{f"network.{name}": value for name, value in network.items()},
        "data.color": recipe.data.color,
        "data.encoder": f"{header.encoder} ({header.encoder_digest[:12]}…)",
        "objective.prediction": recipe.objective.prediction,
    }
