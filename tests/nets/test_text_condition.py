"""Captions of a batch, and of a whole data set without padding."""

from dataclasses import fields

import pytest
import torch
from torch import Tensor

from flowmodel.nets.text_condition import PackedCaptions, TextCondition

WIDTH = 6


def features(*lengths: int, seed: int = 0) -> tuple[Tensor, list[Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    tokens = [torch.randn(length, WIDTH, generator=generator).half() for length in lengths]
    return torch.randn(len(lengths), WIDTH, generator=generator), tokens


def same(one: TextCondition, other: TextCondition) -> bool:
    pairs = [(getattr(one, field.name), getattr(other, field.name)) for field in fields(TextCondition)]
    return all(torch.equal(a, b) if isinstance(a, Tensor) else a is b for a, b in pairs)


@pytest.mark.parametrize("rows", [[0], [2, 0], [3, 3, 1], [0, 1, 2, 3], []])
def test_packed_captions_give_the_bits_of_padded_ones(rows: list[int]) -> None:
    pooled_TD, tokens = features(4, 1, 7, 2)
    rows_B = torch.tensor(rows, dtype=torch.long)
    packed = PackedCaptions.from_features(pooled_TD, tokens, "cpu")
    assert same(packed[rows_B], TextCondition.from_features(pooled_TD, tokens)[rows_B]) and len(packed) == 4
    assert packed.tokens_SD.shape == (14, WIDTH), "no padding is kept"


@pytest.mark.parametrize(("first", "second"), [((3, 2), (5,)), ((5,), (1, 2)), ((4,), (4,))])
def test_captions_that_follow_others_are_padded_with_them(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    pooled_TD, tokens = features(*first, *second)
    split = len(first)
    one = TextCondition.from_features(pooled_TD[:split], tokens[:split])
    other = TextCondition.from_features(pooled_TD[split:], tokens[split:])
    assert same(one.followed_by(other), TextCondition.from_features(pooled_TD, tokens))
