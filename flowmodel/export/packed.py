"""The page's graphs: rounded, and packed by flowmodel/runtime/packing.py. The caption tower takes 29 instead of 35 MB, the
network 8.2 instead of 10.2 (docs/log.md).

Shape suffixes: R rows, K columns, B texts, L tokens.
"""

import copy
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from flowmodel.errors import FlowmodelError
from flowmodel.export.graphs import ORIGIN, export_tower, in_steps, rounded_halves
from flowmodel.export.rounding import round_tower
from flowmodel.files import write_bytes
from flowmodel.runtime.model_folder import ModelFolder
from flowmodel.runtime.packing import pack
from flowmodel.text.minilm import load_minilm
from flowmodel.text.translation import PATH, read_table

_STEP = 2.0**-12
_DROPPED = 1  # of the bits of weights in float16
CALIBRATED_EVERY = 2  # of the English names and keywords of emoji, on which the errors are made up for


class _Words(nn.Module):
    """An embedding (R, K) of multiples of _STEP, of which only the requested rows become float32."""

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        self.register_buffer("steps_RK", torch.from_numpy(in_steps(embedding.weight.numpy(), _STEP)))

    def forward(self, ids_BL: Tensor) -> Tensor:
        return (self.get_buffer("steps_RK")[ids_BL].float() - ORIGIN) * _STEP


def write_packed_tower(model: ModelFolder, path: Path) -> Path:
    """Write the caption tower of `model`, packed. It takes 10 to 20 s of CPU.

    Raises FlowmodelError when the installed tower is not the one of the model.
    """
    encoder = load_minilm()
    if encoder.digest != model.description.encoder_digest:
        raise FlowmodelError(f"{model.path}: was exported with another caption tower; export the model again")
    texts = typical(model.description.styles)
    tower = copy.deepcopy(encoder.tower)
    unused = [number for word, number in encoder.tokenizer.get_vocab().items() if word.startswith("[unused")]
    tower.words.weight[unused] = 0  # BERT's vocabulary reserves a thousand words, which no text contains
    tower.words = _Words(tower.words)
    round_tower(tower, [each.ids for each in encoder.tokenizer.encode_batch(texts)], _STEP)
    with TemporaryDirectory(prefix="flowmodel-") as work:
        graph = export_tower(tower, Path(work, "tower.onnx"), _STEP)
        return write_bytes(path, pack(graph.read_bytes()))


def write_packed_graph(model: ModelFolder, name: str, path: Path) -> Path:
    """Write the graph `name` of `model`, packed; its weights are rounded if they are in float16."""
    import onnx

    graph = onnx.load(model.file(name))
    rounded_halves(graph, _DROPPED)
    return write_bytes(path, pack(graph.SerializeToString()))


def typical(styles: Sequence[str]) -> list[str]:
    """Texts like those of prompts."""
    names = sorted(read_table(PATH))[::CALIBRATED_EVERY]
    endings = cycle(["", *(f", {style} style" for style in styles)])
    return [name + ending for name, ending in zip(names, endings, strict=False)]
