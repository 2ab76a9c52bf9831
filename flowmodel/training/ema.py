"""Exponential moving averages of the weights with a power-function profile (Karras et al. 2312.02696, section 3.1).

In the limit of small steps, the average at step t is the mean of all weights so far, weighted by tau^gamma at step tau. A larger
gamma forgets more of the early training.
"""

import numpy as np
import torch
from torch import Tensor, nn


def exponent_of(relative_width: float) -> float:
    """gamma of the profile t^gamma whose standard deviation is `relative_width` of the training so far.

    The positive root of (gamma + 1)^(1/2) (gamma + 2)^-1 (gamma + 3)^(-1/2) = relative_width (their algorithm 2).
    """
    inverse_square = relative_width**-2
    return float(np.roots([1, 7, 16 - inverse_square, 12 - inverse_square]).real.max())


def decay_of(step: int, exponent: float) -> float:
    """beta after `step` steps (from 1): (1 - 1 / step)^(gamma + 1), their equation 127. The first step copies the weights."""
    return float((1 - 1 / step) ** (exponent + 1))


class PowerEma:
    """Averages of a network's parameters, by name, in float32."""

    def __init__(self, network: nn.Module, relative_width: float) -> None:
        self.relative_width = relative_width
        self._exponent = exponent_of(relative_width)
        self._names = [name for name, _ in network.named_parameters()]
        self._parameters = [parameter.detach() for parameter in network.parameters()]
        self._averages = [parameter.detach().clone() for parameter in network.parameters()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the averages with the weights after optimizer step number `step`, counted from 1."""
        torch._foreach_lerp_(self._averages, self._parameters, 1 - decay_of(step, self._exponent))

    def state(self) -> dict[str, Tensor]:
        return dict(zip(self._names, self._averages, strict=True))

    @torch.no_grad()
    def load(self, state: dict[str, Tensor]) -> None:
        for name, average in self.state().items():
            average.copy_(state[name])
