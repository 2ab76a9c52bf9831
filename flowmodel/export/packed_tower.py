"""The caption tower of the page, in a compressed file of 28 instead of 35 MB. Its matrices are rounded to multiples of a step and
stored as two tables of bytes, because deflate compresses the higher bytes well if the lower ones are not between them.

Shape suffixes: R rows, K columns, B texts, L tokens.
"""

import copy
import zlib
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from flowmodel.errors import FlowmodelError
from flowmodel.export.graphs import export_tower, two_bytes
from flowmodel.export.rounding import round_tower
from flowmodel.files import write_bytes
from flowmodel.runtime.model_folder import ModelFolder
from flowmodel.text.minilm import load_minilm
from flowmodel.text.translation import PATH, read_table

_STEP, _STEP_OF_WORDS = 2.0**-12, 2.0**-11
_EVERY = 2  # of the English names and keywords of emoji, on which the errors are made up for


class _Words(nn.Module):
    """An embedding (R, K) of multiples of _STEP_OF_WORDS, of which only the requested rows become float32."""

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        higher_RK, lower_RK = two_bytes((embedding.weight / _STEP_OF_WORDS).round().numpy().astype("int32"))
        self.register_buffer("higher_RK", torch.from_numpy(higher_RK))
        self.register_buffer("lower_RK", torch.from_numpy(lower_RK))

    def forward(self, ids_BL: Tensor) -> Tensor:
        higher_BLK, lower_BLK = self.get_buffer("higher_RK")[ids_BL], self.get_buffer("lower_RK")[ids_BL]
        return (higher_BLK.float() * 256 + lower_BLK.float()) * _STEP_OF_WORDS


def write_packed_tower(model: ModelFolder, path: Path) -> Path:
    """Write the caption tower of `model`, an ONNX graph that zlib has compressed. It takes 10 to 20 s of CPU.

    Raises FlowmodelError when the installed tower is not the one of the model.
    """
    encoder = load_minilm()
    if encoder.digest != model.description.encoder_digest:
        raise FlowmodelError(f"{model.path}: was exported with another caption tower; export the model again")
    texts = _typical(model.description.styles)
    tower = copy.deepcopy(encoder.tower)
    tower.words = _Words(tower.words)
    round_tower(tower, [each.ids for each in encoder.tokenizer.encode_batch(texts)], _STEP)
    with TemporaryDirectory(prefix="flowmodel-") as work:
        graph = export_tower(tower, Path(work, "tower.onnx"), _STEP)
        return write_bytes(path, zlib.compress(graph.read_bytes(), 9))


def _typical(styles: Sequence[str]) -> list[str]:
    """Texts like those of prompts."""
    names = sorted(read_table(PATH))[::_EVERY]
    endings = cycle(["", *(f", {style} style" for style in styles)])
    return [name + ending for name, ending in zip(names, endings, strict=False)]
