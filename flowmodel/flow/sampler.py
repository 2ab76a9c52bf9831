"""From noise to pictures.

Shape suffixes: B batch, C channels, H/W height and width, S steps.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from flowmodel.flow.guidance import GuidedVelocity, evaluations_at
from flowmodel.flow.solvers import Observer, Velocity, solve, time_grid
from flowmodel.flow.velocity_model import VelocityModel
from flowmodel.images.tensors import CHANNELS, from_unit
from flowmodel.nets.text_condition import TextCondition
from flowmodel.recipes.schema import SamplingConfig


def mixed_seed(*parts: int) -> int:
    """One well-mixed 63-bit seed from several non-negative integers, such as (seed, step)."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


def seeded_noise(count: int, size: int, seed: int, first: int = 0, channels: int = CHANNELS["rgba"]) -> Tensor:
    """Noise (count, channels, size, size) for the pictures number `first`, `first` + 1, … of `seed`.

    Drawn on the CPU, picture by picture, and always as four channels: a seed and a number mean the same noise on every device,
    in every batch and for every color.
    """
    generator = torch.Generator()
    noise = [
        torch.randn(CHANNELS["rgba"], size, size, generator=generator.manual_seed(mixed_seed(seed, number)))[:channels]
        for number in range(first, first + count)
    ]
    return torch.stack(noise) if noise else torch.empty(0, channels, size, size)


def integrate(
    velocity: Velocity, x: Tensor, config: SamplingConfig, observe: Observer | None = None, start: float = 0.0
) -> Tensor:
    """Carry `x` from noise, or from where it is at the time `start`, to data by the recipe's solver: its steps that are left."""
    times = [start, *(t for t in time_grid(config.steps, config.time_shift) if t > start)]
    return solve(velocity, x, times, config.solver, observe)


def evaluations(config: SamplingConfig) -> int:
    """Network evaluations per picture (NFE)."""
    total = 0

    def counted(x: Tensor, t: float) -> Tensor:
        nonlocal total
        total += evaluations_at(t, config)
        return x

    integrate(counted, torch.zeros(()), config)
    return total


@torch.no_grad()
def sample(model: VelocityModel, text: TextCondition, x_BCHW: Tensor, config: SamplingConfig, start: float = 0.0) -> Tensor:
    """Pictures for the captions `text`: uint8, premultiplied RGBA, (B, 4, H, W), on the CPU.

    `x_BCHW` is noise, or x_t of the time `start` (SDEdit, Meng et al. 2108.01073). The network, `text` and `x_BCHW` are on one
    device; the network is in evaluation mode.
    """
    velocity = GuidedVelocity(model, text, config)
    return from_unit(integrate(velocity, x_BCHW, config, start=start)).cpu()


@dataclass(frozen=True)
class Trajectory:
    """How pictures came to be, as uint8 premultiplied RGBA.

    Attributes:
        times: S + 1 of them, from 0 to 1.
        states_SBCHW: x_t at each time: noise first, the pictures last.
        estimates_SBCHW: x_t + (1 - t) v, the clean picture that each x_t is heading for.
    """

    times: tuple[float, ...]
    states_SBCHW: Tensor
    estimates_SBCHW: Tensor


@torch.no_grad()
def sample_trajectory(model: VelocityModel, text: TextCondition, noise_BCHW: Tensor, config: SamplingConfig) -> Trajectory:
    """:func:`sample` with what lies between."""
    times: list[float] = []
    states: list[Tensor] = []
    estimates: list[Tensor] = []

    def record(x_BCHW: Tensor, v_BCHW: Tensor, t: float) -> None:
        times.append(t)
        states.append(from_unit(x_BCHW).cpu())
        estimates.append(from_unit(x_BCHW + (1 - t) * v_BCHW).cpu())

    velocity = GuidedVelocity(model, text, config)
    final_BCHW = from_unit(integrate(velocity, noise_BCHW, config, record)).cpu()
    return Trajectory((*times, 1.0), torch.stack([*states, final_BCHW]), torch.stack([*estimates, final_BCHW]))
