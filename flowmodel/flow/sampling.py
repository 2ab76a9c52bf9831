"""From noise to pictures.

Shape suffixes: B batch, C channels, H/W height and width.
"""

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from flowmodel.flow.guidance import GuidedVelocity
from flowmodel.flow.solvers import solve
from flowmodel.icons.tensors import from_unit
from flowmodel.nets.text_condition import TextCondition
from flowmodel.nets.unet import CHANNELS
from flowmodel.recipes.schema import SamplingConfig


def mixed_seed(*parts: int) -> int:
    """One well-mixed 63-bit seed from several non-negative integers, such as (seed, step)."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


def seeded_noise(count: int, size: int, seed: int, first: int = 0) -> Tensor:
    """Noise (count, C, size, size) for the pictures number `first`, `first` + 1, … of `seed`.

    Drawn on the CPU, picture by picture: a seed and a number mean the same noise on every device and in every batch.
    """
    generator = torch.Generator()
    noise = [
        torch.randn(CHANNELS, size, size, generator=generator.manual_seed(mixed_seed(seed, number)))
        for number in range(first, first + count)
    ]
    return torch.stack(noise) if noise else torch.empty(0, CHANNELS, size, size)


@torch.no_grad()
def sample(
    net: nn.Module, text: TextCondition, noise_BCHW: Tensor, config: SamplingConfig, prediction: Literal["velocity", "data"]
) -> Tensor:
    """Pictures for the captions `text`: uint8, premultiplied RGBA, (B, 4, H, W), on the CPU.

    `net`, `text` and `noise_BCHW` are on one device; `net` is in evaluation mode.
    """
    velocity = GuidedVelocity(net, text, config.guidance, prediction)
    return from_unit(solve(velocity, noise_BCHW, config.steps, config.solver)).cpu()
