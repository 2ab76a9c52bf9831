"""The interface of caption encoders and their output.

Shape suffixes: B texts, L tokens, D the encoder's width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True)
class EncodedText:
    """Text i is `pooled_BD[i]` and `tokens[i]`."""

    pooled_BD: NDArray[np.float32]  # L2-normalized
    tokens: list[NDArray[np.float16]]  # (L_i, D) each, with start and end markers, without padding


@dataclass(frozen=True)
class TokenizedText:
    """The tokens of a text.

    Attributes:
        ids: token ids. Texts with the same ids have the same vectors.
        unknown: number of unknown tokens.
        words: number of tokens without markers and padding.
        cut: whether the text was truncated at the encoder's context length.
    """

    ids: tuple[int, ...]
    unknown: int
    words: int
    cut: bool


def taken_in(tokenizer: "Tokenizer", texts: Sequence[str]) -> list[TokenizedText]:
    """Tokenize `texts`, in order, with a BERT tokenizer, which adds start and end markers."""
    unknown, markers = tokenizer.token_to_id("[UNK]") or 0, 2
    return [
        TokenizedText(tuple(found.ids), found.ids.count(unknown), len(found.ids) - markers, bool(found.overflowing))
        for found in tokenizer.encode_batch(list(texts))
    ]


class CaptionEncoder(Protocol):
    """Encodes texts to one pooled vector and one vector per token each.

    Attributes:
        name: name in recipes.
        digest: SHA-256 of the weights file.
        width: D, of both pooled vectors and tokens.
    """

    name: str
    digest: str
    width: int

    def encode(self, texts: Sequence[str]) -> EncodedText:
        """Encode `texts` on the CPU; the result is in the same order, and the vectors of a text do not depend on the others."""
        ...

    def tokenize(self, texts: Sequence[str]) -> list[TokenizedText]:
        """Tokenize `texts`, in order, without encoding them."""
        ...
