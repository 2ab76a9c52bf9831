"""The distribution of training times.

A density over t in (0, 1) is given by its quantile function: t = quantile(u) with u uniform. Training draws u at random;
validation, which must be deterministic, uses the midpoints of equal shares.
"""

import torch
from torch import Tensor

from flowmodel.recipes.schema import ObjectiveConfig


def draw_times(count: int, config: ObjectiveConfig, generator: torch.Generator, progress: float = 0.0) -> Tensor:
    """Draw `count` times from the recipe's density, float32, on the generator's device. `progress` is the fraction of completed
    steps.

    Logit-normal times are t = sigmoid(z) with z ~ Normal(mean, std). A mean below 0 puts weight on the noisy half, where shapes
    form (Esser et al. 2403.03206, section 3.1).
    """
    if config.time_distribution == "uniform" or progress >= 1 - config.uniform_tail:
        return torch.rand(count, generator=generator, device=generator.device)
    return torch.sigmoid(config.logit_mean + config.logit_std * torch.randn(count, generator=generator, device=generator.device))


def time_quantiles(count: int, config: ObjectiveConfig) -> Tensor:
    """The midpoints of `count` equal shares of the recipe's density, ascending."""
    shares_K = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    if config.time_distribution == "logit_normal":
        shares_K = torch.sigmoid(config.logit_mean + config.logit_std * torch.special.ndtri(shares_K))
    return shares_K.float()
