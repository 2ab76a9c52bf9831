"""Fixed-step solvers of dx/dt = v(x, t) from t = 0 to t = 1 (Hairer, Norsett & Wanner, Solving ODEs I, section II.1).

x is a tensor of any shape; v is called with x and t as a float.
"""

from collections.abc import Callable

from torch import Tensor

Velocity = Callable[[Tensor, float], Tensor]


def _euler_step(velocity: Velocity, x: Tensor, t: float, h: float) -> Tensor:
    return x + h * velocity(x, t)


def _midpoint_step(velocity: Velocity, x: Tensor, t: float, h: float) -> Tensor:
    half = x + 0.5 * h * velocity(x, t)
    return x + h * velocity(half, t + 0.5 * h)


def _heun_step(velocity: Velocity, x: Tensor, t: float, h: float) -> Tensor:
    first = velocity(x, t)
    second = velocity(x + h * first, t + h)
    return x + 0.5 * h * (first + second)


_STEPS = {"euler": (_euler_step, 1), "midpoint": (_midpoint_step, 2), "heun": (_heun_step, 2)}


def solve(velocity: Velocity, x: Tensor, steps: int, solver: str = "midpoint") -> Tensor:
    """Carry `x` from t = 0 to t = 1 in `steps` equal steps of "euler" (order 1), "midpoint" or "heun" (order 2).

    Heun's very last step is an Euler step, because it would look at v(x, 1), which is 0 / 0 for a network that predicts data
    (as in Karras et al. 2206.00364, algorithm 1). The order stays 2.
    """
    step, _ = _STEPS[solver]
    for index in range(steps):
        is_last_of_heun = solver == "heun" and index == steps - 1
        x = (_euler_step if is_last_of_heun else step)(velocity, x, index / steps, 1 / steps)
    return x


def evaluations(steps: int, solver: str, guidance: float) -> int:
    """Network evaluations per picture (NFE); guidance counts two a stage, unless it is off (w = 1)."""
    stages = _STEPS[solver][1] * steps - (1 if solver == "heun" else 0)
    return stages * (1 if guidance == 1 else 2)
