"""The images and captions of each step: icons and, if the recipe asks for them, fixed shares of recolored copies and samples of
the initial weights.

Shape suffixes: B batch, C channels, H/W height and width.
"""

import torch
from torch import Tensor

from flowmodel.data.dataset import IconDataset
from flowmodel.flow.seeds import mixed_seed
from flowmodel.model.device import DevicePolicy
from flowmodel.nets.text_condition import TextCondition
from flowmodel.recipes import Recipe
from flowmodel.recipes.schema import recolored_copies, rehearsed_samples
from flowmodel.training.icon_set import EpochOrder, IconSet
from flowmodel.training.recolored_set import load_recolored_set
from flowmodel.training.rehearsal import load_rehearsal_set

_COPIES, _SAMPLES = 1, 2  # the random streams of their orders


class Batches:
    """Every batch is a function of the recipe's seed and the step number, so that a resumed training sees the same batches."""

    def __init__(self, recipe: Recipe, dataset: IconDataset, policy: DevicePolicy, icons: IconSet) -> None:
        """`icons` are the recipe's training icons. Raises FlowmodelError when the recipe asks for copies or samples and there are
        none.
        """
        config, copies, samples = recipe.training, recolored_copies(recipe), rehearsed_samples(recipe)
        self._parts = [(icons, EpochOrder(len(icons), config.batch_size - copies - samples, config.seed))]
        if copies:
            recolored = load_recolored_set(dataset, recipe.data, policy)
            self._parts.append((recolored, EpochOrder(len(recolored), copies, mixed_seed(config.seed, _COPIES))))
        if samples:
            rehearsed = load_rehearsal_set(recipe, policy)
            self._parts.append((rehearsed, EpochOrder(len(rehearsed), samples, mixed_seed(config.seed, _SAMPLES))))

    def ids(self, step: int) -> list[str]:
        """The icon ids of step number `step`, counted from 0. The id of a recolored copy includes its color, that of a sample its
        prompt.
        """
        return [icons.ids[number] for icons, order in self._parts for number in order(step).tolist()]

    def __call__(self, step: int, generator: torch.Generator) -> tuple[Tensor, TextCondition]:
        """Images (B, C, H, W) of step number `step` and, for each, one of its captions, drawn with `generator` on the CPU."""
        images, texts = zip(*(icons.batch(order(step), generator) for icons, order in self._parts), strict=True)
        text, *others = texts
        for other in others:
            text = text.followed_by(other)
        return (torch.cat(images) if others else images[0]), text
