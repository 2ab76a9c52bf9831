"""The training loss of a velocity model, and the random numbers that it needs.

Shape suffixes: B batch, C channels, H/W height and width, K times.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from flowmodel.flow.path import interpolate
from flowmodel.flow.times import draw_times, time_quantiles
from flowmodel.flow.velocity_model import VelocityModel
from flowmodel.nets.text_condition import TextCondition
from flowmodel.recipes.schema import ObjectiveConfig

_SHAPES_STAND = 0.3  # from this t on
_LEVELS = 3


@dataclass(frozen=True)
class Draw:
    """The random numbers of a batch.

    Attributes:
        noise_BCHW: x_0.
        t_B: times.
        keep_B: False if the caption is dropped.
    """

    noise_BCHW: Tensor
    t_B: Tensor
    keep_B: Tensor

    def rows(self, rows: slice) -> "Draw":
        """A slice of the batch. A batch is drawn as a whole and processed in micro-batches."""
        return Draw(self.noise_BCHW[rows], self.t_B[rows], self.keep_B[rows])


@dataclass(frozen=True)
class FlowMatchingObjective:
    """Conditional flow matching, E || v(x_t, t, text) - u_t ||^2 (Lipman et al. 2210.02747, equation 9)."""

    config: ObjectiveConfig

    def time_quantiles(self, count: int) -> Tensor:
        """Times (K,) that represent the training density."""
        return time_quantiles(count, self.config)

    def draw(self, data_BCHW: Tensor, generator: torch.Generator, progress: float = 0.0) -> Draw:
        """Draw noise, times and dropped captions from `generator`, which must be on the device of the data.

        `progress` is the fraction of completed training steps, in [0, 1).
        """
        batch, device = len(data_BCHW), data_BCHW.device
        noise_BCHW = torch.randn(data_BCHW.shape, generator=generator, device=device)
        t_B = draw_times(batch, self.config, generator, progress)
        keep_B = torch.rand(batch, generator=generator, device=device) >= self.config.cond_dropout
        return Draw(noise_BCHW, t_B, keep_B)

    def loss(self, model: VelocityModel, data_BCHW: Tensor, text: TextCondition, draw: Draw) -> Tensor:
        """The training loss of each sample, shape (B,): the squared error and, with `gradient_weight`, the error of the
        differences between neighboring pixels at times when the image is recognizable.
        """
        error_BCHW = self._velocity_error(model, data_BCHW, text, draw)
        loss_B = error_BCHW.square().mean(dim=(1, 2, 3))
        if self.config.gradient_weight:
            loss_B = loss_B + self.config.gradient_weight * (draw.t_B >= _SHAPES_STAND) * gradient_error(error_BCHW)
        return loss_B

    def squared_error(self, model: VelocityModel, data_BCHW: Tensor, text: TextCondition, draw: Draw) -> Tensor:
        """|| v - u_t ||^2 of each sample, shape (B,), averaged over channels and pixels."""
        return self._velocity_error(model, data_BCHW, text, draw).square().mean(dim=(1, 2, 3))

    def _velocity_error(self, model: VelocityModel, data_BCHW: Tensor, text: TextCondition, draw: Draw) -> Tensor:
        x_BCHW = interpolate(draw.noise_BCHW, data_BCHW, draw.t_B).contiguous(memory_format=_memory_format(data_BCHW))
        return model.velocity_error(x_BCHW, draw.t_B, text.keep(draw.keep_B), draw.noise_BCHW, data_BCHW)

    def __call__(self, model: VelocityModel, data_BCHW: Tensor, text: TextCondition, generator: torch.Generator) -> Tensor:
        """:meth:`loss` of a fresh :meth:`draw`."""
        return self.loss(model, data_BCHW, text, self.draw(data_BCHW, generator))


def gradient_error(error_BCHW: Tensor) -> Tensor:
    """Mean absolute difference between neighboring pixels (horizontal plus vertical) of an error and of its 2x2 and 4x4 averages.

    Shape (B,). The squared error is lowest for the mean of all plausible images, which is blurry. The absolute error of
    differences keeps areas flat (Mathieu et al. 1511.05440, section 3.2, with exponent 1).
    """
    total_B = torch.zeros(len(error_BCHW), device=error_BCHW.device)
    for level in range(_LEVELS):
        if level:
            error_BCHW = F.avg_pool2d(error_BCHW, 2)
        total_B = total_B + sum(error_BCHW.diff(dim=dim).abs().mean(dim=(1, 2, 3)) for dim in (2, 3))
    return total_B


def _memory_format(x_BCHW: Tensor) -> torch.memory_format:
    is_channels_last = x_BCHW.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if is_channels_last else torch.contiguous_format
