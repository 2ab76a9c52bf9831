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
    tokens: list[NDArray[np.float16]]  # (L_i, D) each, start and end markers included, padding not


@dataclass(frozen=True)
class TokenizedText:
    """What an encoder takes in of a text.

    Attributes:
        ids: numbers of its tokens. Texts with the same ones have the same vectors.
        unknown: how many of them stand for something that the encoder has no token for.
        words: how many say something: without markers and padding.
        cut: whether the text is longer than what the encoder takes in.
    """

    ids: tuple[int, ...]
    unknown: int
    words: int
    cut: bool


def taken_in(tokenizer: "Tokenizer", texts: Sequence[str]) -> list[TokenizedText]:
    """What a tokenizer of BERT's kind, which marks begin and end, takes in of `texts`, in their order."""
    unknown, markers = tokenizer.token_to_id("[UNK]") or 0, 2
    return [
        TokenizedText(tuple(found.ids), found.ids.count(unknown), len(found.ids) - markers, bool(found.overflowing))
        for found in tokenizer.encode_batch(list(texts))
    ]


class CaptionEncoder(Protocol):
    """Text to one pooled vector and one vector per token.

    Attributes:
        name: as the recipe says it.
        digest: SHA-256 of the weights file.
        width: D, of pooled vectors and tokens alike.
    """

    name: str
    digest: str
    width: int

    def encode(self, texts: Sequence[str]) -> EncodedText:
        """Encode `texts` on the CPU; the result has their order, and no text's vectors depend on the others."""
        ...

    def tokenize(self, texts: Sequence[str]) -> list[TokenizedText]:
        """What is taken in of `texts`, in their order, without encoding them."""
        ...
