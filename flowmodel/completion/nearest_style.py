"""Chooses the style of the initial weights that an icon set is closest to, whose place the set then takes.

Shape suffixes: N icons, 4 channels (premultiplied RGBA), C channels of the model, H/W height and width.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from flowmodel.flow.path import interpolate
from flowmodel.flow.sampler import seeded_noise
from flowmodel.images.tensors import CHANNELS, to_unit
from flowmodel.model.generator import Generator
from flowmodel.model.styles import style_words
from flowmodel.recipes import Recipe
from flowmodel.training.initial import initial_checkpoint

_SEED = 0
_MOST_ICONS = 32
_TIME = 0.1  # later, the noisy icon shows its style itself


@torch.no_grad()
def nearest_style(generator: Generator, names: Sequence[str], rgba_N4HW: Tensor) -> str | None:
    """The style word with which `generator` predicts the icons from noise with the lowest mean square error, at t = 0.1.

    None if it knows no style words, or generates images of another size. The result is a function of weights and icons, of which
    at most 32 are used, and takes 8 s of CPU for ten styles.

    Args:
        names: of the icons (N of them).
        rgba_N4HW: uint8, premultiplied.
    """
    recipe = generator.recipe
    if recipe.data.size != rgba_N4HW.shape[-1]:
        return None
    rows_N = torch.randperm(len(names), generator=torch.Generator().manual_seed(_SEED))[:_MOST_ICONS]
    data_NCHW = to_unit(rgba_N4HW[rows_N], recipe.data.color)
    noise_NCHW = seeded_noise(len(rows_N), recipe.data.size, _SEED, channels=CHANNELS[recipe.data.color])
    t_N = torch.full((len(rows_N),), _TIME, device=generator.device)
    x_NCHW = interpolate(noise_NCHW, data_NCHW, t_N.cpu()).to(generator.device)

    def error(style: str) -> float:
        text = generator.encode([f"{names[row]}, {style} style" for row in rows_N.tolist()])
        predicted_NCHW = generator.model.predicted_data(x_NCHW, t_N, text).cpu()
        return float((predicted_NCHW - data_NCHW).square().mean())

    return min(style_words(generator.checkpoint), key=error, default=None)


def replace_nearest_style(
    recipe: Recipe, names: Sequence[str], rgba_N4HW: Tensor, log: Callable[[str], None]
) -> tuple[str | None, Recipe]:
    """The style word for captions of a set, and the recipe, which rehearses only other styles.

    The word is that of the nearest style of the initial weights, because samples of other names then adopt more of the set's
    style than with another word (docs/decisions/style-adoption.md); None if the recipe has no initial weights, or they know no
    style words.
    """
    training = recipe.training
    if training.init_from is None:
        return None, recipe
    style = nearest_style(Generator.load(initial_checkpoint(training.init_from), training.device), names, rgba_N4HW)
    if style is None:
        return None, recipe
    log(f"the set is trained as '{style}', the closest style that the initial weights know")
    others = tuple(other for other in training.rehearsal.styles if other != style)
    rehearsal = training.rehearsal.model_copy(update={"styles": others})
    return style, recipe.model_copy(update={"training": training.model_copy(update={"rehearsal": rehearsal})})
