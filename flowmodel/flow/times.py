"""Which times a training step looks at."""

import torch
from torch import Tensor


def logit_normal_times(count: int, mean: float, std: float, generator: torch.Generator) -> Tensor:
    """`count` times in (0, 1), float32, on the generator's device: t = sigmoid(z) with z ~ Normal(mean, std).

    A mean below 0 puts weight on the noisy half, where shapes are decided (Esser et al. 2403.03206, section 3.1).
    """
    return torch.sigmoid(mean + std * torch.randn(count, generator=generator, device=generator.device))
