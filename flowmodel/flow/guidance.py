"""The velocity field that solvers follow: the network with classifier-free guidance.

Shape suffixes: B batch, C channels, H/W height and width.
"""

import torch
from torch import Tensor, nn

from flowmodel.flow.objective import velocity_from_output
from flowmodel.nets.text_condition import TextCondition
from flowmodel.recipes.schema import Prediction, SamplingConfig


class GuidanceSchedule:
    """How many network evaluations the velocity at a time costs."""

    def __init__(self, config: SamplingConfig, first_step: float) -> None:
        """`first_step` is where the solver's first step ends; 0 where it chooses its own."""
        self._scale = config.guidance
        self._start, self._end = config.guidance_interval
        self._silent_until = first_step if config.cfg_zero_star and config.guidance != 1 else 0.0

    def evaluations(self, t: float) -> int:
        """2 with guidance, 1 where it is off (w = 1, or t outside its interval), 0 where the velocity is taken as zero."""
        if t < self._silent_until:
            return 0
        return 2 if self._scale != 1 and self._start <= t <= self._end else 1


class GuidedVelocity:
    """v = v_uncond + w (v_cond - v_uncond) (Ho & Salimans 2207.12598, for velocities as in Zheng et al. 2311.13443).

    w = 1 is off, and so is what lies outside the guidance interval (Kynkaanniemi et al. 2404.07724): there the unconditional
    network isn't evaluated at all. Otherwise both halves go through the network as one batch.

    CFG-Zero* (Fan et al. 2503.18886, algorithm 1) scales v_uncond by s = <v_cond, v_uncond> / ||v_uncond||^2, of each sample,
    and takes the velocity of the first step as zero, as the network knows it worst.

    `evaluations` counts network evaluations per picture (NFE).
    """

    def __init__(
        self, net: nn.Module, text: TextCondition, config: SamplingConfig, prediction: Prediction, first_step: float = 0.0
    ) -> None:
        self._net, self._config, self._prediction = net, config, prediction
        self._schedule = GuidanceSchedule(config, first_step)
        self._text, self._both = text, text.with_unconditional()
        self.evaluations = 0

    def __call__(self, x_BCHW: Tensor, t: float) -> Tensor:
        cost = self._schedule.evaluations(t)
        self.evaluations += cost
        if cost == 0:
            return torch.zeros_like(x_BCHW)
        if cost == 1:
            return self._velocity(x_BCHW, t, self._text)
        conditional_BCHW, unconditional_BCHW = self._velocity(torch.cat([x_BCHW, x_BCHW]), t, self._both).chunk(2)
        if self._config.cfg_zero_star:
            product_B = (conditional_BCHW * unconditional_BCHW).sum(dim=(1, 2, 3), keepdim=True)
            square_B = unconditional_BCHW.square().sum(dim=(1, 2, 3), keepdim=True)
            unconditional_BCHW = unconditional_BCHW * (product_B / square_B.clamp(min=1e-8))
        return torch.lerp(unconditional_BCHW, conditional_BCHW, self._config.guidance)

    def _velocity(self, x_BCHW: Tensor, t: float, text: TextCondition) -> Tensor:
        t_B = torch.full((len(x_BCHW),), t, device=x_BCHW.device)
        output_BCHW = self._net(x_BCHW, t_B, text).float()
        return velocity_from_output(output_BCHW, x_BCHW, t_B, self._prediction)
