"""The velocity field that a network's output represents.

Shape suffixes: B batch, C channels, H/W height and width.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from flowmodel.flow.path import per_sample, target_velocity
from flowmodel.nets.text_condition import TextCondition
from flowmodel.recipes.schema import ObjectiveConfig, Prediction

# (x_BCHW, t_B, text) to output_BCHW; a compiled network is a function, not an nn.Module.
Network = Callable[[Tensor, Tensor, TextCondition], Tensor]

# Solvers may ask for the velocity very near t = 1, where it is 0 / 0 for a network that predicts data.
_LEAST_NOISE = 1e-4


@dataclass(frozen=True)
class VelocityModel:
    """A network together with the meaning of its output. The loss and the solvers use the same object, so that they agree.

    velocity: v = output.    data: the output is an estimate of x_1, and as x_1 - x_t = (1 - t) u_t,

        v = (output - x_t) / (1 - t)

    Attributes:
        net: the network, in any precision.
        prediction: the meaning of the output, velocity or data.
        min_noise: lower bound of 1 - t in the loss of a data prediction, so that nearly clean samples do not dominate
            (Li & He 2511.13720). Solvers divide by 1 - t itself, down to 1e-4.
    """

    net: Network
    prediction: Prediction
    min_noise: float

    @classmethod
    def of(cls, net: Network, objective: ObjectiveConfig) -> "VelocityModel":
        """The velocity model for `net` and the recipe's objective."""
        return cls(net, objective.prediction, objective.min_noise)

    def velocity(self, x_BCHW: Tensor, t_B: Tensor, text: TextCondition) -> Tensor:
        """v at x_t, in float32."""
        output_BCHW = self._output(x_BCHW, t_B, text)
        if self.prediction == "velocity":
            return output_BCHW
        return (output_BCHW - x_BCHW) / (1 - per_sample(t_B)).clamp(min=_LEAST_NOISE)

    def predicted_data(self, x_BCHW: Tensor, t_B: Tensor, text: TextCondition) -> Tensor:
        """The estimate of x_1 in float32: x_t + (1 - t) v, or the output itself if the network predicts data."""
        output_BCHW = self._output(x_BCHW, t_B, text)
        if self.prediction == "velocity":
            return x_BCHW + (1 - per_sample(t_B)) * output_BCHW
        return output_BCHW

    def velocity_error(self, x_BCHW: Tensor, t_B: Tensor, text: TextCondition, noise_BCHW: Tensor, data_BCHW: Tensor) -> Tensor:
        """v - u_t at x_t, float32.

        For a data prediction this is (output - x_1) / (1 - t), where 1 - t is at least `min_noise`.
        """
        output_BCHW = self._output(x_BCHW, t_B, text)
        if self.prediction == "velocity":
            return output_BCHW - target_velocity(noise_BCHW, data_BCHW)
        return (output_BCHW - data_BCHW) / (1 - per_sample(t_B)).clamp(min=self.min_noise)

    def _output(self, x_BCHW: Tensor, t_B: Tensor, text: TextCondition) -> Tensor:
        return self.net(x_BCHW, t_B, text).float()
