"""The finisher's network."""

import pytest
import torch

from flowmodel.nets import count_parameters
from flowmodel.nets.finisher import Finisher
from flowmodel.recipes.schema import FinisherConfig


def _image(height: int, width: int) -> torch.Tensor:
    return torch.rand(2, 4, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_an_untrained_one_changes_nothing():
    x_BCHW = _image(32, 32)
    assert torch.equal(Finisher(FinisherConfig())(x_BCHW), x_BCHW)


def test_an_untrained_one_of_scale_2_enlarges_by_repeating_pixels():
    x_BCHW = _image(16, 24)
    finished_BCHW = Finisher(FinisherConfig(scale=2))(x_BCHW)
    assert finished_BCHW.shape == (2, 4, 32, 48)
    assert torch.equal(torch.nn.functional.avg_pool2d(finished_BCHW, 2), x_BCHW)


@pytest.mark.parametrize("scale", [1, 2])
def test_every_parameter_takes_part(scale):
    network = Finisher(FinisherConfig(channels=8, blocks=1, scale=scale))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    network(_image(8, 8)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_the_default_one_has_0_39_million_parameters():
    assert round(count_parameters(Finisher(FinisherConfig())) / 1e6, 2) == 0.39
