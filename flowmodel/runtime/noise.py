"""PyTorch's CPU random numbers for the initial noise, without PyTorch.

Shape suffixes: N images, C channels, H/W height and width.
"""

import numpy as np
from numpy.typing import NDArray

from flowmodel.flow.seeds import mixed_seed

_CHANNELS = 4  # noise is always generated for RGBA; a network with fewer channels uses the first ones


def seeded_noise(count: int, size: int, seed: int, first: int = 0, channels: int = _CHANNELS) -> NDArray[np.float32]:
    """The noise of :func:`flowmodel.flow.sampler.seeded_noise`, to 1e-6: float32 (count, channels, size, size)."""
    shape = (_CHANNELS, size, size)
    noise = [standard_normal(mixed_seed(seed, number), shape)[:channels] for number in range(first, first + count)]
    return np.stack(noise) if noise else np.zeros((0, channels, size, size), np.float32)


def standard_normal(seed: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """`torch.randn(shape)` of a CPU generator after `manual_seed(seed)`, for a multiple of 16 numbers, to 1e-6.

    The lower 32 bits of the seed initialize MT19937, 24 bits of each word give a uniform number, and the Box-Muller transform
    takes sixteen of these at a time: eight radii, then eight angles
    (https://github.com/pytorch/pytorch/blob/v2.13.0/aten/src/ATen/native/cpu/DistributionTemplates.h, normal_fill).
    """
    words = np.frombuffer(np.random.RandomState(seed & 0xFFFFFFFF).bytes(4 * int(np.prod(shape))), "<u4")
    uniform = ((words & 0xFFFFFF).astype(np.float32) * np.float32(2**-24)).reshape(-1, 2, 8)
    radius = np.sqrt(-2 * np.log(1 - uniform[:, 0]))
    angle = np.float32(2 * np.pi) * uniform[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(shape)
