"""PyTorch's noise without PyTorch."""

import numpy as np
import pytest
import torch

from flowmodel.flow import sampler
from flowmodel.runtime.noise import seeded_noise, standard_normal


@pytest.mark.parametrize("seed", [0, 1, 5489, 2**32 - 1, 2**32, 2**63 - 1])
def test_a_seed_gives_pytorchs_numbers(seed):
    expected = torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(seed)).numpy()
    assert np.abs(standard_normal(seed, (4, 16, 16)) - expected).max() < 1e-6


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_start_from_the_same_noise(channels):
    expected = sampler.seeded_noise(3, 32, seed=7, first=2, channels=channels).numpy()
    found = seeded_noise(3, 32, seed=7, first=2, channels=channels)
    assert found.shape == expected.shape and found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-6


def test_zero_images_need_no_noise():
    assert seeded_noise(0, 16, seed=0).shape == (0, 4, 16, 16)
