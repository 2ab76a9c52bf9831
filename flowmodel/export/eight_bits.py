"""A caption tower in a file of 35 instead of 90 MB: the table of words with 8 bits, all other matrices in half precision. They
are converted back to float32 when loaded, and all computation is in float32.

Samples change by 0.3 of 255 levels. With all matrices in 8 bits they change by 1.6 levels, and dynamic quantization, which also
scales activations to 8 bits, changes them by up to 41 (docs/log.md).

Shape suffixes: R rows, K columns, G groups of a row, W = 16 weights of a group, B texts, L tokens, D width.
"""

import copy

import torch
from torch import Tensor, nn

_GROUP = 16  # weights that share a scale


class _Words(nn.Module):
    """An embedding (R, K) as int8 with a scale in float16 for each group of a row.

    It converts only the requested rows to float32, because the table is half of a caption tower.
    """

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        groups_RGW = embedding.weight.unflatten(1, (-1, _GROUP))
        scales_RG = (groups_RGW.abs().amax(-1) / 127).clamp(min=1e-7).to(torch.float16)
        steps_RGW = (groups_RGW / scales_RG.float()[..., None]).round().clamp(-127, 127)
        self.register_buffer("steps_RK", steps_RGW.flatten(1).to(torch.int8))
        self.register_buffer("scales_RG", scales_RG)

    def forward(self, ids_BL: Tensor) -> Tensor:
        steps_BLK, scales_BLG = self.get_buffer("steps_RK")[ids_BL], self.get_buffer("scales_RG")[ids_BL]
        return (steps_BLK.float().unflatten(-1, (-1, _GROUP)) * scales_BLG.float()[..., None]).flatten(-2)


def in_eight_bits(tower: nn.Module) -> nn.Module:
    """A copy of the caption tower `tower`, for inference only; 16 divides its width.

    Its matrices are rounded to float16, in which graphs.py stores them.
    """
    copied = copy.deepcopy(tower).requires_grad_(False)
    copied.words = _Words(copied.words)  # type: ignore[arg-type]
    for weight in copied.parameters():
        if weight.ndim > 1:
            weight.data = weight.to(torch.float16).float()
    return copied
