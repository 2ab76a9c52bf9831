"""Pairing noise and pictures."""

import itertools

import torch

from flowmodel.flow.coupling import transport


def _batch(count: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 2, 2, 2, generator=generator), torch.randn(count, 2, 2, 2, generator=generator)


def _cost(noise_BCHW: torch.Tensor, data_BCHW: torch.Tensor) -> float:
    return float((noise_BCHW - data_BCHW).square().sum())


def test_transport_is_the_cheapest_of_all_orders():
    noise_BCHW, data_BCHW = _batch()
    cheapest = min(_cost(noise_BCHW[list(order)], data_BCHW) for order in itertools.permutations(range(5)))
    paired_BCHW = transport(noise_BCHW, data_BCHW)
    assert abs(_cost(paired_BCHW, data_BCHW) - cheapest) < 1e-4
    assert sorted(paired_BCHW.flatten(1).sum(dim=1).tolist()) == sorted(noise_BCHW.flatten(1).sum(dim=1).tolist())


def test_a_heavy_condition_keeps_noise_with_its_caption_and_a_weightless_one_is_plain_transport():
    noise_BCHW, data_BCHW = _batch(6)
    condition_BD = torch.eye(3).repeat_interleave(2, dim=0)  # three captions, twice each
    kept_BCHW = transport(noise_BCHW, data_BCHW, condition_BD, condition_weight=1e6)
    for first in (0, 2, 4):
        pair = {tuple(x.flatten().tolist()) for x in kept_BCHW[first : first + 2]}
        assert pair == {tuple(x.flatten().tolist()) for x in noise_BCHW[first : first + 2]}
    assert torch.equal(transport(noise_BCHW, data_BCHW, condition_BD, 0.0), transport(noise_BCHW, data_BCHW))
