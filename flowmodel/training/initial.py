"""Weights to begin a training with in place of random ones: the averaged weights of a checkpoint (fine-tuning).

They mean something only to a network of the same make, which reads the same caption vectors and puts out the same thing.
"""

from pathlib import Path

from torch import nn

from flowmodel.errors import FlowmodelError
from flowmodel.files import sha256_file
from flowmodel.recipes import Recipe, parse_recipe
from flowmodel.training.checkpoint import CheckpointHeader, read_header, read_tensors


def initial_digest(path: Path) -> str:
    """SHA-256 of the checkpoint `path`; raises FlowmodelError when it is missing or is none."""
    read_header(path)
    return sha256_file(path)


def load_initial_weights(network: nn.Module, path: Path, own: CheckpointHeader) -> None:
    """Put the averaged weights of the checkpoint `path` into `network`, which is about to be trained as `own` says.

    Raises FlowmodelError when `path` is missing or holds none, or they are of another network, encoder, colour or prediction.
    """
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


def _make(recipe: Recipe, header: CheckpointHeader) -> dict[str, object]:
    """What has to be alike, by name of the recipe's field: first the kind of network, as another kind has other fields."""
    network = recipe.network.model_dump(mode="json", exclude={"dropout"})
    return {
        **{f"network.{name}": value for name, value in network.items()},
        "data.colour": recipe.data.colour,
        "data.encoder": f"{header.encoder} ({header.encoder_digest[:12]}…)",
        "objective.prediction": recipe.objective.prediction,
    }
