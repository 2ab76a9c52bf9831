"""The caption as a condition of the network.

Shape suffixes: B batch, L caption tokens (padded), D width of the caption encoder, A = 4 augmentation parameters.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

AUGMENTATION_WIDTH = 4


@dataclass(frozen=True)
class TextCondition:
    """Pooled and token features of a batch of captions.

    Attributes:
        pooled_BD: one L2-normalized vector per caption; zeros mean "no caption".
        tokens_BLD: token features, padded to the longest caption.
        mask_BL: True where there is a token. A row of False means "no caption".
        lengths_B: number of tokens of each caption, on the CPU, so that reading it does not synchronize with the device.
        augmentation_BA: how each image of the batch was moved (log2 of scale and aspect ratio, shift to the right and down; see
            flowmodel/training/augmentation.py). None means that none was.
    """

    pooled_BD: Tensor
    tokens_BLD: Tensor
    mask_BL: Tensor
    lengths_B: Tensor
    augmentation_BA: Tensor | None = None

    @classmethod
    def from_features(cls, pooled_BD: Tensor, tokens: Sequence[Tensor]) -> "TextCondition":
        """Build the condition from one (L_i, D) matrix of token features per caption."""
        lengths_B = torch.tensor([len(token_LD) for token_LD in tokens])
        tokens_BLD = pad_sequence([token_LD.float() for token_LD in tokens], batch_first=True)
        return cls(pooled_BD.float(), tokens_BLD, torch.arange(tokens_BLD.shape[1])[None] < lengths_B[:, None], lengths_B)

    def __len__(self) -> int:
        return len(self.pooled_BD)

    def __getitem__(self, rows: Tensor | slice) -> "TextCondition":
        """The captions at `rows` (a list, or a tensor on the CPU), without unnecessary padding."""
        lengths_B = self.lengths_B[rows]
        length = int(lengths_B.max()) if len(lengths_B) else 0
        there = rows.to(self.pooled_BD.device) if isinstance(rows, Tensor) else rows
        return TextCondition(
            self.pooled_BD[there],
            self.tokens_BLD[there, :length],
            self.mask_BL[there, :length],
            lengths_B,
            None if self.augmentation_BA is None else self.augmentation_BA[there],
        )

    def to(self, device: torch.device | str) -> "TextCondition":
        return replace(
            self,
            pooled_BD=self.pooled_BD.to(device),
            tokens_BLD=self.tokens_BLD.to(device),
            mask_BL=self.mask_BL.to(device),
            augmentation_BA=None if self.augmentation_BA is None else self.augmentation_BA.to(device),
        )

    def keep(self, keep_B: Tensor) -> "TextCondition":
        """The same condition without the captions of samples for which `keep_B` is False."""
        return replace(self, pooled_BD=self.pooled_BD * keep_B[:, None], mask_BL=self.mask_BL & keep_B[:, None])

    def followed_by(self, other: "TextCondition") -> "TextCondition":
        """These captions followed by `other`, padded to the longest of all. Neither may have an augmentation."""
        more = other.tokens_BLD.shape[1] - self.tokens_BLD.shape[1]
        first, second = self._lengthened(max(more, 0)), other._lengthened(max(-more, 0))
        return TextCondition(
            torch.cat([first.pooled_BD, second.pooled_BD]),
            torch.cat([first.tokens_BLD, second.tokens_BLD]),
            torch.cat([first.mask_BL, second.mask_BL]),
            torch.cat([first.lengths_B, second.lengths_B]),
        )

    def padded(self, multiple: int) -> "TextCondition":
        """The condition padded to a multiple of `multiple` tokens, because a compiled network is recompiled for every token
        count.
        """
        return self._lengthened(-self.tokens_BLD.shape[1] % multiple)

    def _lengthened(self, tokens: int) -> "TextCondition":
        return replace(self, tokens_BLD=F.pad(self.tokens_BLD, (0, 0, 0, tokens)), mask_BL=F.pad(self.mask_BL, (0, tokens)))

    def with_unconditional(self) -> "TextCondition":
        """2B rows: these captions, then B empty ones, for classifier-free guidance in one batch."""
        augmentation_BA = self.augmentation_BA
        return TextCondition(
            torch.cat([self.pooled_BD, torch.zeros_like(self.pooled_BD)]),
            torch.cat([self.tokens_BLD, self.tokens_BLD]),
            torch.cat([self.mask_BL, torch.zeros_like(self.mask_BL)]),
            torch.cat([self.lengths_B, self.lengths_B]),
            None if augmentation_BA is None else torch.cat([augmentation_BA, augmentation_BA]),
        )


@dataclass(frozen=True)
class PackedCaptions:
    """The captions of a whole data set without padding, which makes them several times smaller than one TextCondition.

    Shape suffixes: T captions, S tokens of all captions, concatenated.

    Attributes:
        pooled_TD: one L2-normalized vector per caption.
        tokens_SD: token features, float16, as stored.
        first_token_T, lengths_T: index of the first token and number of tokens of each caption, on the CPU.
    """

    pooled_TD: Tensor
    tokens_SD: Tensor
    first_token_T: Tensor
    lengths_T: Tensor

    @classmethod
    def from_features(cls, pooled_TD: Tensor, tokens: Sequence[Tensor], device: torch.device | str) -> "PackedCaptions":
        """Build it from one (L_i, D) matrix of float16 token features per caption."""
        lengths_T = torch.tensor([len(token_LD) for token_LD in tokens])
        tokens_SD = torch.cat(list(tokens)) if tokens else torch.zeros(0, pooled_TD.shape[1], dtype=torch.float16)
        return cls(pooled_TD.float().to(device), tokens_SD.to(device), lengths_T.cumsum(0) - lengths_T, lengths_T)

    def __len__(self) -> int:
        return len(self.pooled_TD)

    def __getitem__(self, rows_B: Tensor) -> TextCondition:
        """The captions at `rows_B`, a tensor on the CPU."""
        device = self.pooled_TD.device
        lengths_B = self.lengths_T[rows_B]
        # Only these few numbers go to the device, which computes the B x L indices itself, so that nothing synchronizes.
        position_L = torch.arange(int(lengths_B.max()) if len(lengths_B) else 0, device=device)
        mask_BL = position_L < lengths_B.to(device)[:, None]
        first_token_B = self.first_token_T[rows_B].to(device)
        token_BL = (first_token_B[:, None] + position_L) * mask_BL  # padding reads any token and is set to zero below
        tokens_BLD = self.tokens_SD[token_BL].float().masked_fill(~mask_BL[..., None], 0.0)
        return TextCondition(self.pooled_TD[rows_B.to(device)], tokens_BLD, mask_BL, lengths_B)
