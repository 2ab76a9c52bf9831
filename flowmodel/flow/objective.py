"""The loss that teaches a velocity model, and what is random in it.

Shape suffixes: B batch, C channels, H/W height and width, K times.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from flowmodel.flow.path import interpolate
from flowmodel.flow.times import draw_times, time_quantiles
from flowmodel.flow.velocity_model import VelocityModel
from flowmodel.nets.text_condition import TextCondition
from flowmodel.recipes.schema import ObjectiveConfig


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
    """Conditional flow matching, E || v(x_t, t, text) - u_t ||^2 (Lipman et al. 2210.02747, equation 9)."""

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

    def loss(self, model: VelocityModel, data_BCHW: Tensor, text: TextCondition, draw: Draw) -> Tensor:
        """The loss of every sample, shape (B,), averaged over channels and pixels."""
        x_BCHW = interpolate(draw.noise_BCHW, data_BCHW, draw.t_B).contiguous(memory_format=_memory_format(data_BCHW))
        return model.squared_error(x_BCHW, draw.t_B, text.keep(draw.keep_B), draw.noise_BCHW, data_BCHW)

    def __call__(self, model: VelocityModel, data_BCHW: Tensor, text: TextCondition, generator: torch.Generator) -> Tensor:
        """:meth:`loss` of a fresh :meth:`draw`."""
        return self.loss(model, data_BCHW, text, self.draw(data_BCHW, generator))


def _memory_format(x_BCHW: Tensor) -> torch.memory_format:
    is_channels_last = x_BCHW.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if is_channels_last else torch.contiguous_format
