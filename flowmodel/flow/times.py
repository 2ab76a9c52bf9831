"""Which times a training step looks at.

A density over t in (0, 1) is given by its quantile function: t = quantile(u) with u uniform. Training draws u at random, and a
validation that must not vary takes the middles of equal shares.
"""

from collections.abc import Callable
from statistics import NormalDist

import torch
from torch import Tensor

from flowmodel.recipes.schema import ObjectiveConfig


def logit_normal_times(count: int, mean: float, std: float, generator: torch.Generator) -> Tensor:
    """`count` times in (0, 1), float32, on the generator's device: t = sigmoid(z) with z ~ Normal(mean, std).

    A mean below 0 puts weight on the noisy half, where shapes are decided (Esser et al. 2403.03206, section 3.1).
    """
    return torch.sigmoid(mean + std * torch.randn(count, generator=generator, device=generator.device))


def uniform_times(count: int, generator: torch.Generator) -> Tensor:
    """`count` times in [0, 1), float32, on the generator's device."""
    return torch.rand(count, generator=generator, device=generator.device)


def draw_times(count: int, config: ObjectiveConfig, generator: torch.Generator) -> Tensor:
    """`count` times of the recipe's density: logit-normal, uniform, or each sample one or the other by a coin."""
    if config.times == "uniform":
        return uniform_times(count, generator)
    times_B = logit_normal_times(count, config.time_mean, config.time_std, generator)
    if config.times == "logit_normal":
        return times_B
    is_uniform_B = uniform_times(count, generator) < config.time_uniform_share
    return torch.where(is_uniform_B, uniform_times(count, generator), times_B)


def time_quantiles(count: int, config: ObjectiveConfig) -> Tensor:
    """The middles of `count` equal shares of the recipe's density, ascending."""
    return torch.tensor([_quantile((i + 0.5) / count, config) for i in range(count)])


def _quantile(share: float, config: ObjectiveConfig) -> float:
    if config.times == "uniform":
        return share
    normal = NormalDist(config.time_mean, config.time_std)
    if config.times == "logit_normal":
        return _sigmoid(normal.inv_cdf(share))

    def below(t: float) -> float:
        return config.time_uniform_share * t + (1 - config.time_uniform_share) * normal.cdf(_logit(t))

    return _bisect(below, share)


def _bisect(increasing: Callable[[float], float], value: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if increasing(middle) < value else (low, middle)
    return (low + high) / 2


def _sigmoid(z: float) -> float:
    return torch.sigmoid(torch.tensor(z, dtype=torch.float64)).item()


def _logit(t: float) -> float:
    return torch.logit(torch.tensor(t, dtype=torch.float64)).item()
