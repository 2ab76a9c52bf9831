"""x_t and u_t."""

import torch

from flowmodel.flow.path import interpolate, target_velocity


def _noise_and_data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, 4, 8, 8, generator=generator), torch.randn(3, 4, 8, 8, generator=generator)


def test_path_runs_from_noise_at_0_to_data_at_1():
    noise_BCHW, data_BCHW = _noise_and_data()
    assert torch.equal(interpolate(noise_BCHW, data_BCHW, torch.zeros(3)), noise_BCHW)
    assert torch.equal(interpolate(noise_BCHW, data_BCHW, torch.ones(3)), data_BCHW)


def test_target_velocity_is_the_derivative_of_the_path():
    noise_BCHW, data_BCHW = (x.double() for x in _noise_and_data())
    t_B, h = torch.tensor([0.1, 0.5, 0.8], dtype=torch.float64), 1e-4
    difference = interpolate(noise_BCHW, data_BCHW, t_B + h) - interpolate(noise_BCHW, data_BCHW, t_B - h)
    assert torch.allclose(difference / (2 * h), target_velocity(noise_BCHW, data_BCHW), atol=1e-8)
