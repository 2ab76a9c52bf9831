"""Time and caption conditioning: one embedding for all layers, and tokens for cross-attention.

Shape suffixes: B batch, L caption tokens, D width of the caption encoder, E embedding width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowmodel.nets.layers import TimeEmbedding, zero_init
from flowmodel.nets.text_condition import AUGMENTATION_WIDTH, TextCondition

_TIME_FEATURES = 128


class Conditioning(nn.Module):
    """Embeds time and caption. A learned extra token is always visible beside the caption's tokens. Without a caption it is the
    only token, so the unconditional case needs no separate code path.
    """

    def __init__(self, text_width: int, width: int) -> None:
        super().__init__()
        self.time = nn.Sequential(
            TimeEmbedding(_TIME_FEATURES), nn.Linear(_TIME_FEATURES, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.pooled_scale = text_width**0.5  # an L2-normalized vector has entries of about 1 / sqrt(D)
        self.pooled = nn.Linear(text_width, width)
        self.augmentation = zero_init(nn.Linear(AUGMENTATION_WIDTH, width, bias=False))
        self.tokens = nn.Sequential(nn.Linear(text_width, width), nn.LayerNorm(width))
        self.extra_token_E = nn.Parameter(torch.randn(width) * 0.02)

    def forward(self, t_B: Tensor, text: TextCondition) -> tuple[Tensor, Tensor, Tensor]:
        """Returns embedding_BE, the context (B, 1 + L, E) and its mask (B, 1 + L)."""
        embedding_BE = self.time(t_B) + self.pooled(text.pooled_BD * self.pooled_scale)
        if text.augmentation_BA is not None:
            embedding_BE = embedding_BE + self.augmentation(text.augmentation_BA)
        extra_B1E = self.extra_token_E.expand(t_B.shape[0], 1, -1)
        context_BLE = torch.cat([extra_B1E, self.tokens(text.tokens_BLD)], dim=1)
        return F.silu(embedding_BE), context_BLE, F.pad(text.mask_BL, (1, 0), value=True)
