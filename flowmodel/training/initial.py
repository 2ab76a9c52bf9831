"""Weights to begin a training with in place of random ones: the averaged weights of a checkpoint (fine-tuning), named by its
path, or `pretrained` for those that come with the project.

They mean something only to a network of the same make, which reads the same caption vectors and puts out the same thing.
"""

from pathlib import Path

from torch import nn

from flowmodel.errors import FlowmodelError
from flowmodel.files import sha256_file
from flowmodel.pretrained import PRETRAINED, pretrained_weights
from flowmodel.recipes import Recipe, parse_recipe
from flowmodel.training.checkpoint import CheckpointHeader, read_header, read_tensors


def _path(init: str) -> Path:
    return pretrained_weights() if init == PRETRAINED else Path(init)


def initial_digest(init: str) -> str:
    """SHA-256 of the checkpoint; raises FlowmodelError when it is missing or is none."""
    path = _path(init)
    read_header(path)
    return sha256_file(path)


def load_initial_weights(network: nn.Module, init: str, own: CheckpointHeader) -> tuple[str, ...]:
    """Put the averaged weights of the checkpoint into `network`, which is about to be trained as `own` says.

    Returns the ids of all icons that those weights were trained on. Raises FlowmodelError when the checkpoint is missing or holds
    none, or they are of another network, encoder, colour or prediction.
    """
    path = _path(init)
    header = read_header(path)
    given, wanted = (_make(parse_recipe(each.recipe, where=str(path)), each) for each in (header, own))
    for field, value in wanted.items():
        if given[field] != value:
            raise FlowmodelError(
                f"training.init: the weights in {path} were trained with {field} {given[field]}, this recipe has {value}; give "
                "the recipe the same, or start from other weights"
            )
    try:
        network.load_state_dict(read_tensors(path, "ema."))
    except RuntimeError:
        raise FlowmodelError(
            f"training.init: {path} holds no averaged weights of a finished training; give its final.safetensors"
        ) from None
    return header.seen_ids


def _make(recipe: Recipe, header: CheckpointHeader) -> dict[str, object]:
    """What has to be alike, by name of the recipe's field: first the kind of network, as another kind has other fields."""
    network = recipe.network.model_dump(mode="json", exclude={"dropout"})
    return {
        **{f"network.{name}": value for name, value in network.items()},
        "data.colour": recipe.data.colour,
        "data.encoder": f"{header.encoder} ({header.encoder_digest[:12]}…)",
        "objective.prediction": recipe.objective.prediction,
    }
