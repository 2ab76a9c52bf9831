"""Solvers on an equation with a known solution."""

import itertools
import math

import pytest
import torch

from flowmodel.flow.nfe import evaluations
from flowmodel.flow.solvers import integrate, solve, time_grid
from flowmodel.recipes.schema import SamplingConfig


def _error(solver: str, steps: int) -> float:
    """dx/dt = t - 2 x, x(0) = 1, so x(1) = 1/4 + 5/4 exp(-2)."""
    x = solve(lambda x, t: t - 2 * x, torch.ones(1, dtype=torch.float64), time_grid(steps), solver)
    return abs(x.item() - (0.25 + 1.25 * math.exp(-2)))


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("midpoint", 2), ("heun", 2)])
def test_order_of_convergence(solver, order):
    errors = [_error(solver, steps) for steps in (64, 128, 256)]
    for coarse, fine in itertools.pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.15)


def test_who_starts_late_takes_the_steps_that_are_left():
    seen: list[float] = []
    config = SamplingConfig(solver="euler", steps=4)

    def velocity(x, t):
        seen.append(t)
        return torch.ones(1)

    assert integrate(velocity, torch.zeros(1), config, start=0.3).item() == pytest.approx(0.7)
    assert seen == pytest.approx([0.3, 0.5, 0.75])


@pytest.mark.parametrize("solver", ["euler", "midpoint", "heun"])
def test_a_constant_velocity_is_followed_exactly(solver):
    start, velocity = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])
    assert torch.allclose(solve(lambda x, t: velocity, start, time_grid(7), solver), start + velocity)


@pytest.mark.parametrize("solver", ["euler", "midpoint", "heun"])
def test_order_of_convergence_on_a_shifted_grid(solver):
    def error(steps: int) -> float:
        x = solve(lambda x, t: t - 2 * x, torch.ones(1, dtype=torch.float64), time_grid(steps, shift=3.0), solver)
        return abs(x.item() - (0.25 + 1.25 * math.exp(-2)))

    assert math.log2(error(128) / error(256)) == pytest.approx(1 if solver == "euler" else 2, abs=0.15)


def test_a_shifted_grid_runs_from_0_to_1_with_shorter_steps_at_the_noisy_end():
    assert time_grid(4) == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    shifted = time_grid(8, shift=3.0)
    assert shifted[0] == 0 and shifted[-1] == 1
    steps = [after - before for before, after in itertools.pairwise(shifted)]
    assert steps == sorted(steps) and steps[0] > 0


@pytest.mark.parametrize("solver", ["euler", "midpoint", "heun"])
@pytest.mark.parametrize(
    ("options", "cost"),
    [
        ({"guidance": 1.0}, lambda t: 1),
        ({"guidance": 2.0}, lambda t: 2),
        ({"guidance": 2.0, "guidance_interval": (0.3, 0.7)}, lambda t: 2 if 0.3 <= t <= 0.7 else 1),
    ],
)
def test_evaluations_are_what_the_solver_really_asks_for(solver, options, cost):
    config = SamplingConfig(solver=solver, steps=5, **options)
    calls = []

    def velocity(x: torch.Tensor, t: float) -> torch.Tensor:
        assert 0 <= t < 1, "at t = 1 a network that predicts data has no velocity"
        calls.append(t)
        return x

    integrate(velocity, torch.ones(1), config)
    assert evaluations(config) == sum(cost(t) for t in calls)
