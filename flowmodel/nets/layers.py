"""Building blocks of the networks.

Shape suffixes: B batch, C channels, H/W height and width, E embedding width, L caption tokens, S = H*W positions,
N attention heads, K channels per head.
"""

import math
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowmodel.recipes.networks import ConvolutionKind

LayerT = TypeVar("LayerT", bound=nn.Module)


class TimeEmbedding(nn.Module):
    """Sinusoidal features of t in [0, 1], as in Vaswani et al. 1706.03762 with frequencies from 1 to 32.

    Higher frequencies would only distinguish times at which the network should do the same.
    """

    frequencies_F: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("frequencies_F", torch.logspace(0, 1.5, features // 2), persistent=False)

    def forward(self, t_B: Tensor) -> Tensor:
        phase_BF = t_B[:, None].float() * self.frequencies_F
        return torch.cat([phase_BF.cos(), phase_BF.sin()], dim=1)


def group_norm(channels: int) -> nn.GroupNorm:
    """GroupNorm with 8 groups, or fewer if 8 does not divide `channels`. The networks are narrow, and a group needs several
    channels.
    """
    return nn.GroupNorm(math.gcd(8, channels), channels)


def zero_init(layer: LayerT) -> LayerT:
    """Set the module's parameters to zero, so that a residual branch that ends with it is initially the identity."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def convolution(in_channels: int, out_channels: int, kind: ConvolutionKind) -> nn.Module:
    """A 3x3 convolution, plain or depthwise separable (Chollet 1610.02357)."""
    if kind == "plain":
        return nn.Conv2d(in_channels, out_channels, 3, padding=1)
    depthwise = nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False)
    return nn.Sequential(depthwise, nn.Conv2d(in_channels, out_channels, 1))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions; time and caption are added as scale and shift (adaptive GroupNorm, Dhariwal & Nichol 2105.05233)."""

    def __init__(
        self, in_channels: int, out_channels: int, embedding_dim: int, dropout: float, kind: ConvolutionKind = "plain"
    ) -> None:
        super().__init__()
        self.norm_in = group_norm(in_channels)
        self.conv_in = convolution(in_channels, out_channels, kind)
        self.scale_shift = nn.Linear(embedding_dim, 2 * out_channels)
        self.norm_out = group_norm(out_channels)
        self.dropout = nn.Dropout(dropout)
        self.conv_out = convolution(out_channels, out_channels, kind)
        zero_init(self.conv_out if kind == "plain" else self.conv_out[-1])  # type: ignore[index]  # Sequential
        self.skip = nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x_BCHW: Tensor, embedding_BE: Tensor) -> Tensor:
        h_BCHW = self.conv_in(F.silu(self.norm_in(x_BCHW)))
        scale_BC11, shift_BC11 = self.scale_shift(embedding_BE)[:, :, None, None].chunk(2, dim=1)
        h_BCHW = F.silu(torch.addcmul(shift_BC11, self.norm_out(h_BCHW), 1 + scale_BC11))
        return self.skip(x_BCHW) + self.conv_out(self.dropout(h_BCHW))


def attend(q_BSC: Tensor, k_BLC: Tensor, v_BLC: Tensor, head_dim: int, mask_BL: Tensor | None = None) -> Tensor:
    """Attention of S positions to L others, in heads of `head_dim` channels, limited to positions where `mask_BL` is True."""

    def heads(x_BSC: Tensor) -> Tensor:
        return x_BSC.unflatten(-1, (-1, head_dim)).transpose(1, 2)  # B N S K

    mask_B11L = None if mask_BL is None else mask_BL[:, None, None]
    y_BNSK = F.scaled_dot_product_attention(heads(q_BSC), heads(k_BLC), heads(v_BLC), attn_mask=mask_B11L)
    return y_BNSK.transpose(1, 2).flatten(2)


class TextAttention(nn.Module):
    """Self-attention over positions, then cross-attention from positions to caption tokens, each as a residual branch."""

    def __init__(self, channels: int, context_width: int, head_dim: int) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.norm_self = group_norm(channels)
        self.qkv_self = nn.Linear(channels, 3 * channels)
        self.out_self = zero_init(nn.Linear(channels, channels))
        self.norm_cross = group_norm(channels)
        self.q_cross = nn.Linear(channels, channels)
        self.kv_cross = nn.Linear(context_width, 2 * channels)
        self.out_cross = zero_init(nn.Linear(channels, channels))

    def forward(self, x_BCHW: Tensor, context_BLE: Tensor, mask_BL: Tensor) -> Tensor:
        size = x_BCHW.shape[-2:]

        # In channels-last tensors these two only change the strides.
        def positions(h_BCHW: Tensor) -> Tensor:
            return h_BCHW.flatten(2).mT  # B S C

        def image(h_BSC: Tensor) -> Tensor:
            return h_BSC.mT.unflatten(2, size)

        q_BSC, k_BSC, v_BSC = self.qkv_self(positions(self.norm_self(x_BCHW))).chunk(3, dim=-1)
        x_BCHW = x_BCHW + image(self.out_self(attend(q_BSC, k_BSC, v_BSC, self.head_dim)))

        q_BSC = self.q_cross(positions(self.norm_cross(x_BCHW)))
        k_BLC, v_BLC = self.kv_cross(context_BLE).chunk(2, dim=-1)
        return x_BCHW + image(self.out_cross(attend(q_BSC, k_BLC, v_BLC, self.head_dim, mask_BL)))
