"""Sampling: from noise to images.

Shape suffixes: B batch, C channels, H/W height and width, S steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from flowmodel.flow.guidance import GuidedVelocity
from flowmodel.flow.seeds import mixed_seed
from flowmodel.flow.solvers import integrate, solve, time_grid
from flowmodel.flow.velocity_model import VelocityModel
from flowmodel.images.tensors import CHANNELS, from_unit
from flowmodel.nets.text_condition import TextCondition
from flowmodel.recipes.schema import SamplingConfig


def seeded_noise(count: int, size: int, seed: int, first: int = 0, channels: int = CHANNELS["rgba"]) -> Tensor:
    """Noise (count, channels, size, size) for images number `first`, `first` + 1, … of `seed`.

    It is drawn on the CPU, image by image, and always with four channels. A seed and a number therefore give the same noise on
    every device, in every batch and for every color mode.
    """
    generator = torch.Generator()
    noise = [
        torch.randn(CHANNELS["rgba"], size, size, generator=generator.manual_seed(mixed_seed(seed, number)))[:channels]
        for number in range(first, first + count)
    ]
    return torch.stack(noise) if noise else torch.empty(0, channels, size, size)


@torch.no_grad()
def sample(model: VelocityModel, text: TextCondition, x_BCHW: Tensor, config: SamplingConfig, start: float = 0.0) -> Tensor:
    """Images for the captions `text`: uint8, premultiplied RGBA, (B, 4, H, W), on the CPU.

    `x_BCHW` is noise, or x_t at the time `start` (SDEdit, Meng et al. 2108.01073). The network, `text` and `x_BCHW` must be on
    one device, and the network in evaluation mode.
    """
    velocity = GuidedVelocity(model, text, config)
    return from_unit(integrate(velocity, x_BCHW, config, start=start)).cpu()


@torch.no_grad()
def sample_states(
    model: VelocityModel, text: TextCondition, noise_BCHW: Tensor, config: SamplingConfig, times: Sequence[float]
) -> Tensor:
    """The states x_t of :func:`sample` at `times`, ascending in (0, 1], in float32: (B, K, C, H, W).

    A time that the solver does not visit anyway costs it a step more.
    """
    kept: list[Tensor] = []

    def keep(x_BCHW: Tensor, v_BCHW: Tensor, t: float) -> None:
        if t in times:
            kept.append(x_BCHW)

    visited = sorted({*time_grid(config.steps, config.time_shift), *times, 1.0})
    final_BCHW = solve(GuidedVelocity(model, text, config), noise_BCHW, visited, config.solver, keep)
    return torch.stack([*kept, final_BCHW] if 1.0 in times else kept, dim=1)


@dataclass(frozen=True)
class Trajectory:
    """The intermediate states of sampling, as uint8 premultiplied RGBA.

    Attributes:
        times: S + 1 times from 0 to 1.
        states_SBCHW: x_t at each time; the first is noise, the last the images.
        estimates_SBCHW: x_t + (1 - t) v, the prediction of the clean image at each time.
    """

    times: tuple[float, ...]
    states_SBCHW: Tensor
    estimates_SBCHW: Tensor


@torch.no_grad()
def sample_trajectory(model: VelocityModel, text: TextCondition, noise_BCHW: Tensor, config: SamplingConfig) -> Trajectory:
    """:func:`sample` with all intermediate states."""
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
