"""The attention U-Net.

A space-to-depth stem halves (or quarters) the resolution before the first layer: at equal parameter count this is about twice
as fast as a plain stem, without a measured loss of quality (docs/decisions/network.md).

Shape suffixes: B batch, C channels, H/W height and width, L caption tokens, D caption encoder width, E embedding width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowmodel.nets.conditioning import Conditioning
from flowmodel.nets.layers import ResidualBlock, TextAttention, group_norm, zero_init
from flowmodel.nets.text_condition import TextCondition
from flowmodel.recipes.networks import UNetConfig


class _Stage(nn.Module):
    """A residual block and, after the last one of a low resolution, self-attention and cross-attention to the caption."""

    def __init__(self, in_channels: int, out_channels: int, attention: bool, config: UNetConfig) -> None:
        super().__init__()
        self.block = ResidualBlock(in_channels, out_channels, config.embedding_dim, config.dropout, config.convolution)
        self.attention = TextAttention(out_channels, config.embedding_dim, config.head_dim) if attention else None

    def forward(self, x_BCHW: Tensor, embedding_BE: Tensor, context_BLE: Tensor, mask_BL: Tensor) -> Tensor:
        x_BCHW = self.block(x_BCHW, embedding_BE)
        return x_BCHW if self.attention is None else self.attention(x_BCHW, context_BLE, mask_BL)


class UNet(nn.Module):
    """Residual U-Net with self- and cross-attention at its lowest resolutions (after Ronneberger et al. 1505.04597,
    Ho et al. 2006.11239, Rombach et al. 2112.10752). The output is initialized to zero.
    """

    def __init__(self, config: UNetConfig, text_width: int, channels: int) -> None:
        super().__init__()
        self.stem_factor = config.patch_size
        self.conditioning = Conditioning(text_width, config.embedding_dim)

        widths, last = config.channels, len(config.channels) - 1

        def attends(level: int) -> bool:
            return level > last - config.attention_levels

        self.stem = nn.Conv2d(channels * config.patch_size**2, widths[0], 3, padding=1)
        self.down = nn.ModuleList()
        self.downsample = nn.ModuleList()
        skips = [width_in := widths[0]]
        for level, width in enumerate(widths):
            stages = nn.ModuleList()
            for block in range(config.blocks_per_level):
                stages.append(_Stage(width_in, width, attends(level) and block == config.blocks_per_level - 1, config))
                skips.append(width_in := width)
            self.down.append(stages)
            if level < last:
                self.downsample.append(nn.Conv2d(width_in, width_in, 3, stride=2, padding=1))
                skips.append(width_in)

        self.middle = nn.ModuleList(
            [_Stage(width_in, width_in, attends(last), config), _Stage(width_in, width_in, False, config)]
        )

        self.up = nn.ModuleList()
        self.upsample = nn.ModuleList()
        for level, width in reversed(list(enumerate(widths))):
            stages = nn.ModuleList()
            for block in range(config.blocks_per_level + 1):
                stages.append(_Stage(width_in + skips.pop(), width, attends(level) and block == config.blocks_per_level, config))
                width_in = width
            self.up.append(stages)
            if level > 0:
                self.upsample.append(nn.Conv2d(width_in, width_in, 3, padding=1))

        self.head_norm = group_norm(width_in)
        self.head = zero_init(nn.Conv2d(width_in, channels * config.patch_size**2, 3, padding=1))

    def forward(self, x_BCHW: Tensor, t_B: Tensor, text: TextCondition) -> Tensor:
        """Args:
            x_BCHW: noisy premultiplied RGBA, roughly in [-1, 1]; H and W must be divisible by patch_size * 2^(levels - 1).
            t_B: times in [0, 1].
            text: captions, one per row.

        Returns:
            A tensor of x's shape.
        """
        condition = self.conditioning(t_B, text)

        h_BCHW = self.stem(F.pixel_unshuffle(x_BCHW, self.stem_factor))
        skips = [h_BCHW]
        for level, stages in enumerate(self.down):
            for stage in stages:  # type: ignore[attr-defined]  # nn.ModuleList of nn.ModuleList
                skips.append(h_BCHW := stage(h_BCHW, *condition))
            if level < len(self.downsample):
                skips.append(h_BCHW := self.downsample[level](h_BCHW))
        for stage in self.middle:
            h_BCHW = stage(h_BCHW, *condition)
        for level, stages in enumerate(self.up):
            for stage in stages:  # type: ignore[attr-defined]
                h_BCHW = stage(torch.cat([h_BCHW, skips.pop()], dim=1), *condition)
            if level < len(self.upsample):
                h_BCHW = self.upsample[level](F.interpolate(h_BCHW, scale_factor=2, mode="nearest"))
        return F.pixel_shuffle(self.head(F.silu(self.head_norm(h_BCHW))), self.stem_factor)
