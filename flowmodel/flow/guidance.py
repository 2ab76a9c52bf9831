"""The velocity field that solvers follow: the network with classifier-free guidance.

Shape suffixes: B batch, C channels, H/W height and width.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from flowmodel.flow.objective import velocity_from_output
from flowmodel.nets.text_condition import TextCondition


class GuidedVelocity:
    """v = v_uncond + w (v_cond - v_uncond) (Ho & Salimans 2207.12598, for velocities as in Zheng et al. 2311.13443).

    w = 1 is off: then the unconditional network isn't evaluated at all. Otherwise both halves go through the network as one
    batch. `evaluations` counts network evaluations per picture (NFE).
    """

    def __init__(self, net: nn.Module, text: TextCondition, guidance: float, prediction: Literal["velocity", "data"]) -> None:
        self._net = net
        self._guidance = guidance
        self._prediction = prediction
        self._guided = guidance != 1
        self._text = text.with_unconditional() if self._guided else text
        self.evaluations = 0

    def __call__(self, x_BCHW: Tensor, t: float) -> Tensor:
        self.evaluations += 2 if self._guided else 1
        inputs_BCHW = torch.cat([x_BCHW, x_BCHW]) if self._guided else x_BCHW
        t_B = torch.full((len(inputs_BCHW),), t, device=x_BCHW.device)
        output_BCHW = self._net(inputs_BCHW, t_B, self._text).float()
        velocity_BCHW = velocity_from_output(output_BCHW, inputs_BCHW, t_B, self._prediction)
        if not self._guided:
            return velocity_BCHW
        conditional_BCHW, unconditional_BCHW = velocity_BCHW.chunk(2)
        return torch.lerp(unconditional_BCHW, conditional_BCHW, self._guidance)
