"""What the network's output means, and the loss that teaches it.

Shape suffixes: B batch, C channels, H/W height and width, K times.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from flowmodel.flow.path import interpolate, per_sample, target_velocity
from flowmodel.flow.times import draw_times, time_quantiles
from flowmodel.nets.text_condition import TextCondition
from flowmodel.recipes.schema import ObjectiveConfig, Prediction

# (x_BCHW, t_B, text) to output_BCHW; a compiled network is a function, no nn.Module.
Network = Callable[[Tensor, Tensor, TextCondition], Tensor]

# Solvers may ask for the velocity very near t = 1, where it is 0 / 0 for a network that predicts data.
_LEAST_NOISE = 1e-4


def velocity_from_output(output_BCHW: Tensor, x_BCHW: Tensor, t_B: Tensor, prediction: Prediction) -> Tensor:
    """The velocity that the network's output stands for.

    velocity: v = output.    data: the output is an estimate of x_1, and as x_1 - x_t = (1 - t) u_t,

        v = (output - x_t) / (1 - t)
    """
    if prediction == "velocity":
        return output_BCHW
    return (output_BCHW - x_BCHW) / (1 - per_sample(t_B)).clamp(min=_LEAST_NOISE)


@dataclass(frozen=True)
class Draw:
    """Everything random of a batch.

    Attributes:
        noise_BCHW: x_0.
        t_B: times.
        keep_B: False where the caption is dropped.
    """

    noise_BCHW: Tensor
    t_B: Tensor
    keep_B: Tensor

    def rows(self, rows: slice) -> "Draw":
        """Of some samples only: a batch is drawn as a whole, and computed in slices."""
        return Draw(self.noise_BCHW[rows], self.t_B[rows], self.keep_B[rows])


@dataclass(frozen=True)
class FlowMatchingObjective:
    """Conditional flow matching, E || v(x_t, t, text) - u_t ||^2 (Lipman et al. 2210.02747, equation 9).

    A network that predicts data is trained under the same loss: v - u_t = (output - x_1) / (1 - t), with 1 - t not below
    `min_noise`, lest the cleanest samples outweigh all others (Li & He 2511.13720).
    """

    config: ObjectiveConfig

    def time_quantiles(self, count: int) -> Tensor:
        """Times (K,) that stand for the density that is trained on."""
        return time_quantiles(count, self.config)

    def draw(self, data_BCHW: Tensor, generator: torch.Generator) -> Draw:
        """Noise, times and dropped captions, from `generator`, which must live on the data's device."""
        batch, device = len(data_BCHW), data_BCHW.device
        noise_BCHW = torch.randn(data_BCHW.shape, generator=generator, device=device)
        t_B = draw_times(batch, self.config, generator)
        keep_B = torch.rand(batch, generator=generator, device=device) >= self.config.condition_dropout
        return Draw(noise_BCHW, t_B, keep_B)

    def loss(self, net: Network, data_BCHW: Tensor, text: TextCondition, draw: Draw) -> Tensor:
        """The loss of every sample, shape (B,), averaged over channels and pixels."""
        x_BCHW = interpolate(draw.noise_BCHW, data_BCHW, draw.t_B).contiguous(memory_format=_memory_format(data_BCHW))
        output_BCHW = net(x_BCHW, draw.t_B, text.keep(draw.keep_B)).float()
        if self.config.prediction == "velocity":
            return (output_BCHW - target_velocity(draw.noise_BCHW, data_BCHW)).square().mean(dim=(1, 2, 3))
        weight_B = (1 - draw.t_B).clamp(min=self.config.min_noise) ** -2
        return weight_B * (output_BCHW - data_BCHW).square().mean(dim=(1, 2, 3))

    def __call__(self, net: Network, data_BCHW: Tensor, text: TextCondition, generator: torch.Generator) -> Tensor:
        """:meth:`loss` of a fresh :meth:`draw`."""
        return self.loss(net, data_BCHW, text, self.draw(data_BCHW, generator))


def _memory_format(x_BCHW: Tensor) -> torch.memory_format:
    is_channels_last = x_BCHW.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if is_channels_last else torch.contiguous_format
