"""The validation loss on a fixed grid of icons, noises and times, for validation icons and as many training icons.

Shape suffixes: N icons, B batch, C channels, H/W height and width, K times.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from flowmodel.data.dataset import IconDataset
from flowmodel.flow.objective import Draw, FlowMatchingObjective
from flowmodel.flow.sampler import seeded_noise
from flowmodel.flow.velocity_model import VelocityModel
from flowmodel.images.tensors import CHANNELS
from flowmodel.model.device import DevicePolicy
from flowmodel.nets.text_condition import TextCondition
from flowmodel.recipes import Recipe
from flowmodel.recipes.split import Split
from flowmodel.training.icon_set import IconSet, load_icon_set

_SEED = 20_231_205  # of the choice of icons and of the noise; independent of the training's seed, so that losses are comparable
_BATCH = 64


@dataclass(frozen=True)
class _Grid:
    """Fixed images, captions and noises. Every icon is combined with every time, each with its own noise."""

    data_NCHW: Tensor
    text: TextCondition
    first_noise: int

    def __len__(self) -> int:
        return len(self.data_NCHW)


class Validation:
    """Measures a network on validation and training icons; the gap between both shows memorization."""

    def __init__(self, recipe: Recipe, dataset: IconDataset, policy: DevicePolicy, training_set: IconSet) -> None:
        self._recipe, self._policy = recipe, policy
        self._objective = FlowMatchingObjective(recipe.objective)
        self._times_K = self._objective.time_quantiles(recipe.training.validation.times).to(policy.device)
        held_out = choose(dataset.ids_of_split(Split.VALIDATION, recipe.data), recipe.training.validation.icons)
        self._held_out: _Grid | None = None
        if held_out:
            icon_set = load_icon_set(dataset, recipe.data, policy, held_out)
            self._held_out = self._grid(icon_set, held_out, first_noise=0)
            trained = choose(training_set.ids, len(held_out))
            self._trained = self._grid(training_set, trained, first_noise=len(held_out) * len(self._times_K))

    @property
    def icons(self) -> int:
        """Number of validation icons; 0 means that nothing can be measured."""
        return len(self._held_out) if self._held_out else 0

    def _grid(self, icon_set: IconSet, ids: Sequence[str], first_noise: int) -> _Grid:
        position = {icon_id: index for index, icon_id in enumerate(icon_set.ids)}
        icons_N = torch.tensor([position[icon_id] for icon_id in ids])
        return _Grid(icon_set.images(icons_N), icon_set.first_captions(icons_N), first_noise)

    @torch.no_grad()
    def measure(self, model: VelocityModel) -> dict[str, float]:
        """`loss` of validation icons, `train_loss` of training icons, and the validation loss by time as `loss_t0.12` and so on.

        The network must be in evaluation mode.
        """
        assert self._held_out is not None, "there are no held-out icons"
        held_out_NK, trained_NK = (self._losses(model, grid) for grid in (self._held_out, self._trained))
        by_time = {
            f"loss_t{time:.2f}": value.item() for time, value in zip(self._times_K.tolist(), held_out_NK.mean(dim=0), strict=True)
        }
        return {"loss": held_out_NK.mean().item(), "train_loss": trained_NK.mean().item(), **by_time}

    def _losses(self, model: VelocityModel, grid: _Grid) -> Tensor:
        icons, times = len(grid), len(self._times_K)
        losses = []
        for first in range(0, icons * times, _BATCH):
            pairs_B = torch.arange(first, min(first + _BATCH, icons * times))
            icons_B = pairs_B // times
            noise_BCHW = seeded_noise(
                len(pairs_B),
                self._recipe.data.size,
                _SEED,
                first=grid.first_noise + first,
                channels=CHANNELS[self._recipe.data.color],
            )
            device = self._policy.device
            draw = Draw(
                noise_BCHW=noise_BCHW.to(device),
                t_B=self._times_K[(pairs_B % times).to(device)],
                keep_B=torch.ones(len(pairs_B), dtype=torch.bool, device=device),
            )
            with self._policy.autocast_context():
                losses.append(self._objective.squared_error(model, grid.data_NCHW[icons_B.to(device)], grid.text[icons_B], draw))
        return torch.cat(losses).view(icons, times)


def choose(ids: Sequence[str], count: int) -> list[str]:
    """A fixed choice of at most `count` ids."""
    if len(ids) <= count:
        return list(ids)
    chosen = np.random.default_rng(_SEED).choice(len(ids), count, replace=False)
    return [ids[index] for index in sorted(chosen)]
