"""A diffusion transformer of the U-Net's size, for comparison (Peebles & Xie 2212.09748; cross-attention to the caption as in
PixArt-alpha, Chen et al. 2310.00426).

Shape suffixes: B batch, C channels, H/W height and width, S patches, P values per patch, K token width, E embedding width,
L caption tokens, N attention heads.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowmodel.nets.conditioning import Conditioning
from flowmodel.nets.layers import attend, zero_init
from flowmodel.nets.text_condition import TextCondition
from flowmodel.recipes.networks import DiTConfig


class _Block(nn.Module):
    """Self-attention and an MLP with adaLN-Zero, with cross-attention to the caption in between."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        width, hidden = config.width, round(config.width * config.mlp_ratio)
        self.head_dim = config.head_dim
        # Scale, shift and gate of self-attention and MLP. Zero initialization makes the block the identity.
        self.modulation = zero_init(nn.Linear(config.embedding_dim, 6 * width))
        self.norm_self = nn.LayerNorm(width, elementwise_affine=False)
        self.qkv_self = nn.Linear(width, 3 * width)
        self.out_self = nn.Linear(width, width)
        self.norm_cross = nn.LayerNorm(width)
        self.q_cross = nn.Linear(width, width)
        self.kv_cross = nn.Linear(config.embedding_dim, 2 * width)
        self.out_cross = zero_init(nn.Linear(width, width))
        self.norm_mlp = nn.LayerNorm(width, elementwise_affine=False)
        self.mlp = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(approximate="tanh"), nn.Dropout(config.dropout), nn.Linear(hidden, width)
        )

    def forward(self, x_BSK: Tensor, embedding_BE: Tensor, context_BLE: Tensor, mask_BL: Tensor) -> Tensor:
        modulation = self.modulation(embedding_BE)[:, None].chunk(6, dim=-1)
        scale_self_B1K, shift_self_B1K, gate_self_B1K, scale_mlp_B1K, shift_mlp_B1K, gate_mlp_B1K = modulation
        h_BSK = self.norm_self(x_BSK) * (1 + scale_self_B1K) + shift_self_B1K
        q_BSK, k_BSK, v_BSK = self.qkv_self(h_BSK).chunk(3, dim=-1)
        x_BSK = x_BSK + gate_self_B1K * self.out_self(attend(q_BSK, k_BSK, v_BSK, self.head_dim))

        k_BLK, v_BLK = self.kv_cross(context_BLE).chunk(2, dim=-1)
        x_BSK = x_BSK + self.out_cross(attend(self.q_cross(self.norm_cross(x_BSK)), k_BLK, v_BLK, self.head_dim, mask_BL))

        return x_BSK + gate_mlp_B1K * self.mlp(self.norm_mlp(x_BSK) * (1 + scale_mlp_B1K) + shift_mlp_B1K)


class DiT(nn.Module):
    """A DiT: patches are tokens with fixed sinusoidal position embeddings, and the output is initialized to zero."""

    def __init__(self, config: DiTConfig, text_width: int, channels: int) -> None:
        super().__init__()
        self.patch_size, self.width = config.patch_size, config.width
        numbers_P = channels * config.patch_size**2
        self.conditioning = Conditioning(text_width, config.embedding_dim)
        self.embed = nn.Linear(numbers_P, config.width)
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width, elementwise_affine=False)
        self.modulation = zero_init(nn.Linear(config.embedding_dim, 2 * config.width))
        self.head = zero_init(nn.Linear(config.width, numbers_P))

    def forward(self, x_BCHW: Tensor, t_B: Tensor, text: TextCondition) -> Tensor:
        """Returns a tensor of the shape of x; H and W must be divisible by the patch size."""
        embedding_BE, context_BLE, mask_BL = self.conditioning(t_B, text)
        patches_BPHW = F.pixel_unshuffle(x_BCHW, self.patch_size)
        rows, columns = patches_BPHW.shape[2:]
        x_BSK = self.embed(patches_BPHW.flatten(2).mT) + _positions(rows, columns, self.width, x_BCHW)
        for block in self.blocks:
            x_BSK = block(x_BSK, embedding_BE, context_BLE, mask_BL)
        scale_B1K, shift_B1K = self.modulation(embedding_BE)[:, None].chunk(2, dim=-1)
        patches_BSP = self.head(self.norm(x_BSK) * (1 + scale_B1K) + shift_B1K)
        return F.pixel_shuffle(patches_BSP.mT.unflatten(2, (rows, columns)), self.patch_size)


def _positions(rows: int, columns: int, width: int, like: Tensor) -> Tensor:
    """Position embeddings of the patches in row-major order, (S, K): half for the row, half for the column (Vaswani et al.
    1706.03762).
    """
    frequencies = 10_000 ** -torch.linspace(0, 1, width // 4, device=like.device, dtype=like.dtype)

    def waves(count: int) -> Tensor:
        phases = torch.arange(count, device=like.device, dtype=like.dtype)[:, None] * frequencies
        return torch.cat([phases.sin(), phases.cos()], dim=1)

    rows_SK, columns_SK = waves(rows).repeat_interleave(columns, dim=0), waves(columns).repeat(rows, 1)
    return torch.cat([rows_SK, columns_SK], dim=1)
