"""The images and captions of each step: icons and, if the recipe asks for them, a fixed share of recolored copies.

Shape suffixes: B batch, C channels, H/W height and width.
"""

import torch
from torch import Tensor

from flowmodel.data.dataset import IconDataset
from flowmodel.flow.seeds import mixed_seed
from flowmodel.model.device import DevicePolicy
from flowmodel.nets.text_condition import TextCondition
from flowmodel.recipes import Recipe
from flowmodel.recipes.schema import recolored_copies
from flowmodel.training.icon_set import EpochOrder, IconSet
from flowmodel.training.recolored_set import load_recolored_set

_COPIES = 1  # the random stream of their order


class Batches:
    """Every batch is a function of the recipe's seed and the step number, so that a resumed training sees the same batches."""

    def __init__(self, recipe: Recipe, dataset: IconDataset, policy: DevicePolicy, icons: IconSet) -> None:
        """`icons` are the recipe's training icons. Raises FlowmodelError when the recipe asks for copies and there are none."""
        config, copies = recipe.training, recolored_copies(recipe)
        self._icons, self._copies = icons, load_recolored_set(dataset, recipe.data, policy) if copies else None
        self._order = EpochOrder(len(icons), config.batch_size - copies, config.seed)
        if self._copies:
            self._order_of_copies = EpochOrder(len(self._copies), copies, mixed_seed(config.seed, _COPIES))

    def ids(self, step: int) -> list[str]:
        """The icon ids of step number `step`, counted from 0. The id of a recolored copy includes its color."""
        ids = [self._icons.ids[number] for number in self._order(step).tolist()]
        if self._copies:
            ids += [self._copies.ids[number] for number in self._order_of_copies(step).tolist()]
        return ids

    def __call__(self, step: int, generator: torch.Generator) -> tuple[Tensor, TextCondition]:
        """Images (B, C, H, W) of step number `step` and, for each, one of its captions, drawn with `generator` on the CPU."""
        x_BCHW, text = self._icons.batch(self._order(step), generator)
        if self._copies is None:
            return x_BCHW, text
        copies_BCHW, text_of_copies = self._copies.batch(self._order_of_copies(step), generator)
        return torch.cat([x_BCHW, copies_BCHW]), text.followed_by(text_of_copies)
