"""Solvers against an equation whose solution is known."""

import itertools
import math

import pytest
import torch

from flowmodel.flow.solvers import evaluations, solve


def _error(solver: str, steps: int) -> float:
    """dx/dt = t - 2 x, x(0) = 1, so x(1) = 1/4 + 5/4 exp(-2)."""
    x = solve(lambda x, t: t - 2 * x, torch.ones(1, dtype=torch.float64), steps, solver)
    return abs(x.item() - (0.25 + 1.25 * math.exp(-2)))


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("midpoint", 2), ("heun", 2)])
def test_order_of_convergence(solver, order):
    errors = [_error(solver, steps) for steps in (64, 128, 256)]
    for coarse, fine in itertools.pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("solver", ["euler", "midpoint", "heun"])
def test_a_constant_velocity_is_followed_exactly(solver):
    start, velocity = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])
    assert torch.allclose(solve(lambda x, t: velocity, start, 7, solver), start + velocity)


@pytest.mark.parametrize("solver", ["euler", "midpoint", "heun"])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_evaluations_are_what_the_solver_really_asks_for(solver, guidance):
    calls = []

    def velocity(x: torch.Tensor, t: float) -> torch.Tensor:
        assert 0 <= t < 1, "at t = 1 a network that predicts data has no velocity"
        calls.append(t)
        return x

    solve(velocity, torch.ones(1), 5, solver)
    assert evaluations(5, solver, guidance) == len(calls) * (1 if guidance == 1 else 2)
