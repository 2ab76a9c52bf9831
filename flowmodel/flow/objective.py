"""What the network's output means, and the loss that teaches it.

Shape suffixes: B batch, C channels, H/W height and width.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from flowmodel.flow.path import interpolate, per_sample, target_velocity
from flowmodel.flow.times import logit_normal_times
from flowmodel.nets.text_condition import TextCondition
from flowmodel.recipes.schema import ObjectiveConfig

# Solvers may ask for the velocity very near t = 1, where it is 0 / 0 for a network that predicts data.
_LEAST_NOISE = 1e-4


def velocity_from_output(output_BCHW: Tensor, x_BCHW: Tensor, t_B: Tensor, prediction: Literal["velocity", "data"]) -> Tensor:
    """The velocity that the network's output stands for.

    velocity: v = output.    data: the output is an estimate of x_1, and as x_1 - x_t = (1 - t) u_t,

        v = (output - x_t) / (1 - t)
    """
    if prediction == "velocity":
        return output_BCHW
    return (output_BCHW - x_BCHW) / (1 - per_sample(t_B)).clamp(min=_LEAST_NOISE)


@dataclass(frozen=True)
class FlowMatchingObjective:
    """Conditional flow matching, E || v(x_t, t, text) - u_t ||^2 (Lipman et al. 2210.02747, equation 9).

    A network that predicts data is trained under the same loss: v - u_t = (output - x_1) / (1 - t), with 1 - t not below
    `min_noise`, lest the cleanest samples outweigh all others (Li & He 2511.13720).
    """

    config: ObjectiveConfig

    def __call__(self, net: nn.Module, data_BCHW: Tensor, text: TextCondition, generator: torch.Generator) -> Tensor:
        """The loss of every sample, shape (B,), averaged over channels and pixels.

        Noise, times and dropped captions are drawn from `generator`, which must live on the data's device.
        """
        config, batch, device = self.config, len(data_BCHW), data_BCHW.device
        noise_BCHW = torch.randn(data_BCHW.shape, generator=generator, device=device)
        t_B = logit_normal_times(batch, config.time_mean, config.time_std, generator)
        keep_B = torch.rand(batch, generator=generator, device=device) >= config.condition_dropout
        x_BCHW = interpolate(noise_BCHW, data_BCHW, t_B).contiguous(memory_format=_memory_format(data_BCHW))
        output_BCHW = net(x_BCHW, t_B, text.keep(keep_B)).float()
        if config.prediction == "velocity":
            return (output_BCHW - target_velocity(noise_BCHW, data_BCHW)).square().mean(dim=(1, 2, 3))
        weight_B = (1 - t_B).clamp(min=config.min_noise) ** -2
        return weight_B * (output_BCHW - data_BCHW).square().mean(dim=(1, 2, 3))


def _memory_format(x_BCHW: Tensor) -> torch.memory_format:
    is_channels_last = x_BCHW.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if is_channels_last else torch.contiguous_format
