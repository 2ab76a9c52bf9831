"""Shared parts of the commands: the console, and the option --model."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from flowmodel.errors import FlowmodelError

if TYPE_CHECKING:
    from flowmodel.model.checkpoint import Checkpoint
    from flowmodel.runtime.onnx_generator import OnnxGenerator
    from flowmodel.store import Store

console = Console(highlight=False)

_FEW = 16  # images that the CPU samples in less time than a GPU needs to start

ModelOption = Annotated[
    str | None,
    typer.Option(
        help="A checkpoint file, a folder from `flowmodel export`, models:/NAME@alias, models:/NAME/VERSION, or pretrained "
        "or pretrained-fast for shipped weights; default: the champion, or pretrained if nothing is registered."
    ),
]


def exported(model: str | None, device: str) -> "OnnxGenerator | None":
    """The generator of the exported model that `--model` names, or None if it names no folder.

    Raises FlowmodelError when the folder holds no exported model, or `device` is not the CPU.
    """
    from flowmodel.runtime.model_folder import DESCRIPTION

    if model is None or not Path(model, DESCRIPTION).is_file():
        return None
    if device not in ("auto", "cpu"):
        raise FlowmodelError(f"--device {device}: an exported model runs on the CPU only; leave it out, or name a checkpoint")
    from flowmodel.runtime.onnx_generator import OnnxGenerator

    return OnnxGenerator.load(model)


def quicker(store: "Store", checkpoint: "Checkpoint", device: str, images: int) -> "OnnxGenerator | None":
    """The generator of `checkpoint` without PyTorch, whose import takes longer than sampling a few images. None if the store has
    no export of it, or if `device` or the number of images requires PyTorch.
    """
    if device not in ("auto", "cpu") or images > _FEW:
        return None
    from flowmodel.export.in_store import already_exported

    folder = already_exported(store, checkpoint)
    if folder is None or not find_spec("onnxruntime") or not find_spec("tokenizers"):
        return None
    from flowmodel.runtime.onnx_generator import OnnxGenerator

    return OnnxGenerator(folder)


def resolve(store: "Store", model: str | None) -> "Checkpoint":
    """The checkpoint that `--model` names. Prints a line if the shipped weights are used because nothing is registered."""
    from flowmodel.model.pretrained import FOLDER
    from flowmodel.registry.references import resolve_model

    checkpoint = resolve_model(store, model)
    if model is None and checkpoint.path.parent == FOLDER:
        line = f"no model is registered yet; using the shipped weights, {checkpoint} (`make quickstart` trains your own)"
        console.print(line, soft_wrap=True)
    return checkpoint
