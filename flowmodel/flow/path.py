"""The probability path: straight lines from noise to data (the conditional optimal-transport path).

    x_t = (1 - t) x_0 + t x_1        u_t = dx_t / dt = x_1 - x_0

Lipman et al. 2210.02747, equations 20-23 with sigma_min = 0. Shape suffixes: B batch, C channels, H/W height and width.
"""

from torch import Tensor


def per_sample(t_B: Tensor) -> Tensor:
    """`t_B` as (B, 1, 1, 1), for multiplication with images."""
    return t_B[:, None, None, None]


def interpolate(noise_BCHW: Tensor, data_BCHW: Tensor, t_B: Tensor) -> Tensor:
    """x_t: noise at t = 0, data at t = 1."""
    return (1 - per_sample(t_B)) * noise_BCHW + per_sample(t_B) * data_BCHW


def target_velocity(noise_BCHW: Tensor, data_BCHW: Tensor) -> Tensor:
    """u_t, which does not depend on t."""
    return data_BCHW - noise_BCHW
