"""Classifier-free guidance: the velocity field that the solvers integrate.

Shape suffixes: B batch, C channels, H/W height and width.
"""

import torch
from torch import Tensor

from flowmodel.flow.nfe import evaluations_at
from flowmodel.flow.velocity_model import VelocityModel
from flowmodel.nets.text_condition import TextCondition
from flowmodel.recipes.schema import SamplingConfig


class GuidedVelocity:
    """v = v_uncond + w (v_cond - v_uncond) (Ho & Salimans 2207.12598, for velocities as in Zheng et al. 2311.13443).

    Guidance is off for w = 1 and outside the guidance interval (Kynkaanniemi et al. 2404.07724); the unconditional network is not
    evaluated there. Otherwise both halves go through the network as one batch.

    `evaluations` counts network evaluations per image (NFE).
    """

    def __init__(self, model: VelocityModel, text: TextCondition, config: SamplingConfig) -> None:
        self._model, self._config = model, config
        self._text, self._both = text, text.with_unconditional()
        self.evaluations = 0

    def __call__(self, x_BCHW: Tensor, t: float) -> Tensor:
        cost = evaluations_at(t, self._config)
        self.evaluations += cost
        if cost == 1:
            return self._velocity(x_BCHW, t, self._text)
        conditional_BCHW, unconditional_BCHW = self._velocity(torch.cat([x_BCHW, x_BCHW]), t, self._both).chunk(2)
        return torch.lerp(unconditional_BCHW, conditional_BCHW, self._config.guidance)

    def _velocity(self, x_BCHW: Tensor, t: float, text: TextCondition) -> Tensor:
        t_B = torch.full((len(x_BCHW),), t, device=x_BCHW.device)
        return self._model.velocity(x_BCHW, t_B, text)
