"""Models with a known finisher."""

from dataclasses import replace
from pathlib import Path

from flowmodel.model.checkpoint import Checkpoint, save_checkpoint
from flowmodel.nets.finisher import Finisher
from flowmodel.recipes.schema import FinisherConfig


def enlarging(checkpoint: Checkpoint, path: Path) -> Checkpoint:
    """The finished model `checkpoint` with an untrained finisher of scale 2 instead, which repeats each pixel."""
    config = FinisherConfig.model_validate(checkpoint.header.finisher.config | {"scale": 2})
    tensors = {name: value for name, value in checkpoint.tensors().items() if name.startswith("ema.")}
    tensors |= {f"finisher.{name}": value for name, value in Finisher(config).state_dict().items()}
    finisher = replace(checkpoint.header.finisher, config=config.model_dump(mode="json"))
    return save_checkpoint(path, tensors, replace(checkpoint.header, finisher=finisher))
