"""The power-function average against its definition."""

import pytest
import torch

from flowmodel.training.ema import PowerEma, exponent_of


def test_exponents_of_the_paper():
    """Karras et al. 2312.02696, section 3.1: 5% is gamma 16.97, 10% is 6.94."""
    assert exponent_of(0.05) == pytest.approx(16.97, abs=0.01)
    assert exponent_of(0.10) == pytest.approx(6.94, abs=0.01)


def test_average_weighs_step_t_by_t_to_the_gamma():
    layer, steps = torch.nn.Linear(3, 2), 400
    average = PowerEma(layer, 0.1)
    weights, values = [], []
    for step in range(1, steps + 1):
        torch.nn.init.normal_(layer.weight)
        values.append(layer.weight.detach().clone().double())
        weights.append(step ** exponent_of(0.1))
        average.update(step)
    expected = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
    # The recursion is a discretization of the integral: close, not equal.
    assert torch.allclose(average.state()["weight"].double(), expected, atol=0.01)


def test_the_first_step_forgets_the_initial_weights():
    layer = torch.nn.Linear(2, 2)
    average = PowerEma(layer, 0.05)
    torch.nn.init.ones_(layer.weight)
    average.update(1)
    assert torch.equal(average.state()["weight"], layer.weight.detach())
