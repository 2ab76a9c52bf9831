"""Densities of t: samples follow the quantiles."""

import pytest
import torch

from flowmodel.flow.objective import FlowMatchingObjective
from flowmodel.flow.times import draw_times
from flowmodel.recipes.schema import ObjectiveConfig

DENSITIES = [
    ObjectiveConfig(time_distribution="uniform"),
    ObjectiveConfig(time_distribution="logit_normal", logit_mean=-0.8, logit_std=1.0),
    ObjectiveConfig(time_distribution="logit_normal", logit_mean=0.5, logit_std=0.4),
]


def test_a_negative_mean_looks_at_noisier_times():
    noisy_B, even_B = (
        draw_times(4000, ObjectiveConfig(logit_mean=mean, logit_std=1.0), torch.Generator().manual_seed(0)) for mean in (-0.8, 0)
    )
    assert ((noisy_B > 0) & (noisy_B < 1)).all()
    assert noisy_B.median() < 0.35 < 0.47 < even_B.median() < 0.53


@pytest.mark.parametrize("config", DENSITIES)
def test_quantiles_and_draws_are_of_one_density(config):
    drawn_B = draw_times(100_000, config, torch.Generator().manual_seed(0))
    quantiles_K = FlowMatchingObjective(config).time_quantiles(9)
    assert torch.equal(quantiles_K, quantiles_K.sort().values)
    below_K = (drawn_B[:, None] < quantiles_K).float().mean(dim=0)
    assert torch.allclose(below_K, (torch.arange(9) + 0.5) / 9, atol=0.006)


def test_uniform_quantiles_are_the_middles_of_equal_steps():
    assert torch.allclose(
        FlowMatchingObjective(ObjectiveConfig(time_distribution="uniform")).time_quantiles(2), torch.tensor([0.25, 0.75])
    )


def test_the_last_steps_draw_uniform_times_where_a_recipe_says_so():
    config = ObjectiveConfig(uniform_tail=0.4)

    def mean(progress: float) -> float:
        return draw_times(20_000, config, torch.Generator().manual_seed(0), progress).mean().item()

    assert mean(0.0) == mean(0.59) < 0.36
    assert mean(0.61) == mean(0.99) == pytest.approx(0.5, abs=0.01)
