"""What a network is told about the caption.

Shape suffixes: B batch, L caption tokens (padded), D width of the caption encoder.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


@dataclass(frozen=True)
class TextCondition:
    """Pooled and token features of a batch of captions.

    Attributes:
        pooled_BD: one L2-normalised vector a caption; zeros say "no caption".
        tokens_BLD: token features, padded to the longest caption.
        mask_BL: True where there is a token. A row of False says "no caption".
    """

    pooled_BD: Tensor
    tokens_BLD: Tensor
    mask_BL: Tensor

    @classmethod
    def from_features(cls, pooled_BD: Tensor, tokens: Sequence[Tensor]) -> "TextCondition":
        """From one (L_i, D) matrix of token features a caption, of any lengths."""
        lengths_B = torch.tensor([len(token_LD) for token_LD in tokens])
        tokens_BLD = pad_sequence([token_LD.float() for token_LD in tokens], batch_first=True)
        return cls(pooled_BD.float(), tokens_BLD, torch.arange(tokens_BLD.shape[1])[None] < lengths_B[:, None])

    def __len__(self) -> int:
        return len(self.pooled_BD)

    def __getitem__(self, rows: Tensor | slice) -> "TextCondition":
        """The captions at `rows`, without padding that none of them needs."""
        mask_BL = self.mask_BL[rows]
        length = int(mask_BL.sum(dim=1).max())
        return TextCondition(self.pooled_BD[rows], self.tokens_BLD[rows, :length], mask_BL[:, :length])

    def to(self, device: torch.device | str) -> "TextCondition":
        return TextCondition(self.pooled_BD.to(device), self.tokens_BLD.to(device), self.mask_BL.to(device))

    def keep(self, keep_B: Tensor) -> "TextCondition":
        """The same with the captions taken away where `keep_B` is False (per sample, never per batch)."""
        return TextCondition(self.pooled_BD * keep_B[:, None], self.tokens_BLD, self.mask_BL & keep_B[:, None])

    def with_unconditional(self) -> "TextCondition":
        """2B rows: these captions, then as many empty ones (for classifier-free guidance in one batch)."""
        return TextCondition(
            torch.cat([self.pooled_BD, torch.zeros_like(self.pooled_BD)]),
            torch.cat([self.tokens_BLD, self.tokens_BLD]),
            torch.cat([self.mask_BL, torch.zeros_like(self.mask_BL)]),
        )
