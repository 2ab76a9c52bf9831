"""Solvers of dx/dt = v(x, t) from t = 0 to t = 1 (Hairer, Norsett & Wanner, Solving ODEs I, sections II.1 and II.4).

x is a tensor of any shape; v is called with x and t as a float.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor

Velocity = Callable[[Tensor, float], Tensor]
# Called before each step with x, the velocity there, and t.
Observer = Callable[[Tensor, Tensor, float], None]


def time_grid(steps: int, shift: float = 1.0) -> list[float]:
    """steps + 1 times from 0 to 1, ascending.

    Equal steps where `shift` is 1; otherwise t / (a - (a - 1) t) with a = shift, so that a > 1 takes shorter steps where there is
    much noise (Esser et al. 2403.03206, equation 23: a s / (1 + (a - 1) s) for the noise level s = 1 - t).
    """
    times = [index / steps for index in range(steps + 1)]
    return [t / (shift - (shift - 1) * t) for t in times]


def _euler_step(velocity: Velocity, x: Tensor, v: Tensor, t: float, h: float) -> Tensor:
    return x + h * v


def _midpoint_step(velocity: Velocity, x: Tensor, v: Tensor, t: float, h: float) -> Tensor:
    return x + h * velocity(x + 0.5 * h * v, t + 0.5 * h)


def _heun_step(velocity: Velocity, x: Tensor, v: Tensor, t: float, h: float) -> Tensor:
    return x + 0.5 * h * (v + velocity(x + h * v, t + h))


# Each is given the velocity v at (x, t).
_STEPS = {"euler": _euler_step, "midpoint": _midpoint_step, "heun": _heun_step}


def solve(
    velocity: Velocity, x: Tensor, times: Sequence[float], solver: str = "midpoint", observe: Observer | None = None
) -> Tensor:
    """Carry `x` along `times` by "euler" (order 1), "midpoint" or "heun" (order 2).

    Heun's step to t = 1 is an Euler step, because it would look at v(x, 1), which is 0 / 0 for a network that predicts data
    (as in Karras et al. 2206.00364, algorithm 1). The order stays 2.
    """
    for t, t_next in pairwise(times):
        v = velocity(x, t)
        if observe:
            observe(x, v, t)
        step = _euler_step if solver == "heun" and t_next == 1 else _STEPS[solver]
        x = step(velocity, x, v, t, t_next - t)
    return x
