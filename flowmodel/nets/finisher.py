"""The finisher: a small network that makes the areas of a sample flat and its edges sharp, and can enlarge it.

Shape suffixes: B batch, C channels of an image (premultiplied RGBA in [-1, 1]), W width of the features, H/W height and width.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from flowmodel.images.tensors import CHANNELS
from flowmodel.nets.layers import group_norm, zero_init
from flowmodel.recipes.schema import FinisherConfig

_STEM = 2  # space-to-depth factor


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_in, self.norm_out = group_norm(width), group_norm(width)
        self.conv_in = nn.Conv2d(width, width, 3, padding=1)
        self.conv_out = zero_init(nn.Conv2d(width, width, 3, padding=1))

    def forward(self, h_BWHW: Tensor) -> Tensor:
        inner_BWHW = self.conv_in(F.silu(self.norm_in(h_BWHW)))
        return h_BWHW + self.conv_out(F.silu(self.norm_out(inner_BWHW)))


class Finisher(nn.Module):
    """Maps a sample to a finished image of `config.scale` times the size, for any even height and width.

    Its output is added to the image, whose pixels are repeated if it is enlarged. The last layer is initialized to zeros, so
    that an untrained finisher is the identity, up to repeated pixels.
    """

    def __init__(self, config: FinisherConfig) -> None:
        super().__init__()
        self.scale = config.scale
        channels = CHANNELS["rgba"]
        self.stem = nn.Conv2d(channels * _STEM**2, config.channels, 3, padding=1)
        self.blocks = nn.Sequential(*(_Block(config.channels) for _ in range(config.blocks)))
        self.head = zero_init(nn.Conv2d(config.channels, channels * (_STEM * config.scale) ** 2, 3, padding=1))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, scale * H, scale * W), not clamped."""
        h_BWHW = self.blocks(self.stem(F.pixel_unshuffle(x_BCHW, _STEM)))
        change_BCHW = F.pixel_shuffle(self.head(h_BWHW), _STEM * self.scale)
        return F.interpolate(x_BCHW, scale_factor=self.scale, mode="nearest") + change_BCHW
