"""Solvers of dx/dt = v(x, t) from t = 0 to t = 1 (Hairer, Norsett & Wanner, Solving ODEs I, sections II.1 and II.4).

x is a tensor or an array of any shape; v is called with x and t as a float. This module does not need torch.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

X = TypeVar("X", "Tensor", "NDArray[np.float32]", float)


class SamplingSettings(Protocol):
    """The settings of the recipe's section `sampling`."""

    @property
    def solver(self) -> str: ...
    @property
    def steps(self) -> int: ...
    @property
    def time_shift(self) -> float: ...
    @property
    def guidance(self) -> float: ...
    @property
    def guidance_interval(self) -> tuple[float, float]: ...


def time_grid(steps: int, shift: float = 1.0) -> list[float]:
    """steps + 1 times from 0 to 1, ascending.

    Steps are equal if `shift` is 1. Otherwise, t becomes t / (a - (a - 1) t) with a = shift; a > 1 takes shorter steps at high
    noise (Esser et al. 2403.03206, equation 23: a s / (1 + (a - 1) s) for the noise level s = 1 - t).
    """
    times = [index / steps for index in range(steps + 1)]
    return [t / (shift - (shift - 1) * t) for t in times]


def _euler_step(velocity: Callable[[X, float], X], x: X, v: X, t: float, h: float) -> X:
    return x + h * v


def _midpoint_step(velocity: Callable[[X, float], X], x: X, v: X, t: float, h: float) -> X:
    return x + h * velocity(x + 0.5 * h * v, t + 0.5 * h)


def _heun_step(velocity: Callable[[X, float], X], x: X, v: X, t: float, h: float) -> X:
    return x + 0.5 * h * (v + velocity(x + h * v, t + h))


# Each step function gets the velocity v at (x, t).
_STEPS: dict[str, Callable[..., Any]] = {"euler": _euler_step, "midpoint": _midpoint_step, "heun": _heun_step}


def integrate(
    velocity: Callable[[X, float], X],
    x: X,
    settings: SamplingSettings,
    observe: Callable[[X, X, float], None] | None = None,
    start: float = 0.0,
) -> X:
    """Integrate `x` from the time `start` to data along the rest of :func:`time_grid`."""
    times = [start, *(t for t in time_grid(settings.steps, settings.time_shift) if t > start)]
    return solve(velocity, x, times, settings.solver, observe)


def solve(
    velocity: Callable[[X, float], X],
    x: X,
    times: Sequence[float],
    solver: str = "midpoint",
    observe: Callable[[X, X, float], None] | None = None,
) -> X:
    """Integrate `x` along `times` with "euler" (order 1), "midpoint" or "heun" (order 2).

    `observe` is called before each step with x, the velocity there, and t.

    Heun's step to t = 1 is an Euler step, because it would evaluate v(x, 1), which is 0 / 0 for a network that predicts data
    (as in Karras et al. 2206.00364, algorithm 1). The order stays 2.
    """
    for t, t_next in pairwise(times):
        v = velocity(x, t)
        if observe:
            observe(x, v, t)
        step = _euler_step if solver == "heun" and t_next == 1 else _STEPS[solver]
        x = step(velocity, x, v, t, t_next - t)
    return x
