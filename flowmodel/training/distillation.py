"""Distillation of a sampler with few steps: the student learns the jumps between states of its teacher's trajectories.

The student is evaluated at a few fixed times t_0 = 0, t_1, …, and its Euler step from t_k is to end where the teacher arrives at
t_(k+1) after many steps with guidance. This is progressive distillation (Salimans & Ho 2202.00512) in one round, with guidance
distilled as well (Meng et al. 2210.03142). The teacher's trajectories are computed once and reused over epochs.

Shape suffixes: B batch, K + 1 times, C channels, H/W height and width.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from flowmodel.flow.objective import gradient_error
from flowmodel.flow.path import per_sample
from flowmodel.flow.seeds import mixed_seed
from flowmodel.flow.velocity_model import VelocityModel
from flowmodel.model.device import DevicePolicy
from flowmodel.nets.text_condition import AUGMENTATION_WIDTH, TextCondition
from flowmodel.recipes import Recipe
from flowmodel.training.icon_set import EpochOrder
from flowmodel.training.trajectories import Trajectories

_ORDER = 3  # random stream


@dataclass(frozen=True)
class Jumps:
    """What a batch of the student learns: its velocity at (`x_BCHW`, `t_B`) is to be `velocity_BCHW`."""

    x_BCHW: Tensor
    t_B: Tensor
    velocity_BCHW: Tensor
    text: TextCondition

    def loss(self, model: VelocityModel, rows: slice, text: TextCondition, gradient_weight: float) -> Tensor:
        """The loss of each sample, shape (B,): squared error, and the error of differences between neighboring pixels."""
        error_BCHW = model.velocity(self.x_BCHW[rows], self.t_B[rows], text) - self.velocity_BCHW[rows]
        return error_BCHW.square().mean(dim=(1, 2, 3)) + gradient_weight * gradient_error(error_BCHW)


class Distillation:
    """Every batch is a function of the recipe's seed, the step number and, for the student's own states, its weights."""

    def __init__(self, recipe: Recipe, trajectories: Trajectories, policy: DevicePolicy) -> None:
        self._seed, self._batch_size = recipe.training.seed, recipe.training.batch_size
        self._on_policy = recipe.training.distillation.on_policy
        self._trajectories = trajectories
        self._order = EpochOrder(len(trajectories), self._batch_size, mixed_seed(self._seed, _ORDER))
        self._times_K = torch.tensor(trajectories.times, device=policy.device)
        self._memory_format = policy.memory_format

    def prompts(self, step: int) -> list[str]:
        """The prompts of step number `step`, counted from 0."""
        return [self._trajectories.prompts[row] for row in self._order(step).tolist()]

    def __call__(self, step: int, model: VelocityModel, generator: torch.Generator) -> Jumps:
        """The batch of step number `step`. Times are drawn with `generator` on the CPU.

        A share of the jumps starts at states of the student's own sampling, so that its later steps correct the errors of the
        earlier ones (Ross et al. 1011.0686). All jumps end on the teacher's trajectory.
        """
        states_BKCHW, text = self._trajectories.batch(self._order(step))
        rows_B = torch.arange(self._batch_size)
        jump_B = torch.randint(len(self._times_K) - 1, (self._batch_size,), generator=generator)
        is_own_B = torch.rand(self._batch_size, generator=generator) < self._on_policy
        x_BCHW, next_BCHW = states_BKCHW[rows_B, jump_B].clone(), states_BKCHW[rows_B, jump_B + 1]
        self._replace_by_own(model, x_BCHW, states_BKCHW[:, 0], text, steps_B=torch.where(is_own_B, jump_B, 0))
        x_BCHW = x_BCHW.contiguous(memory_format=self._memory_format)
        t_B, end_B = self._times_K[jump_B], self._times_K[jump_B + 1]
        # No image is moved. The layer that knows of moves still takes part, so that the optimizer has a state for it.
        text = replace(text, augmentation_BA=torch.zeros(len(text), AUGMENTATION_WIDTH, device=t_B.device))
        return Jumps(x_BCHW, t_B, (next_BCHW - x_BCHW) / per_sample(end_B - t_B), text)

    @torch.no_grad()
    def _replace_by_own(
        self, model: VelocityModel, x_BCHW: Tensor, noise_BCHW: Tensor, text: TextCondition, steps_B: Tensor
    ) -> None:
        """Write the student's own state after `steps_B` steps into the rows of `x_BCHW` where that is above 0."""
        rows_B = torch.nonzero(steps_B)[:, 0]
        own_BCHW = noise_BCHW[rows_B]
        for step in range(int(steps_B.max())):
            t, end = self._times_K[step], self._times_K[step + 1]
            own_BCHW = own_BCHW + (end - t) * model.velocity(own_BCHW, t.expand(len(rows_B)), text[rows_B])
            is_there_B = steps_B[rows_B] == step + 1
            x_BCHW[rows_B[is_there_B]] = own_BCHW[is_there_B]
            rows_B, own_BCHW = rows_B[~is_there_B], own_BCHW[~is_there_B]
