"""Chooses the style of the initial weights that an icon set is closest to, whose place the set then takes.

Shape suffixes: N icons, C channels, H/W height and width.
"""

import numpy as np
import torch

from flowmodel.data.dataset import IconDataset
from flowmodel.flow.path import interpolate
from flowmodel.flow.sampler import seeded_noise
from flowmodel.images.tensors import CHANNELS, to_unit
from flowmodel.model.generator import Generator
from flowmodel.model.styles import style_words

_ICONS, _SEED = 32, 0
_TIME = 0.1  # later, the noisy icon shows its style itself


@torch.no_grad()
def nearest_style(generator: Generator, dataset: IconDataset) -> str | None:
    """The style word with which `generator` predicts the icons of `dataset` from noise with the lowest mean square error.

    None if it knows no style words, or generates images of another size. The result is a function of weights and icons; for ten
    styles it takes 8 s of CPU.
    """
    recipe = generator.recipe
    if recipe.data.size != dataset.data.size:
        return None
    rows = np.sort(np.random.default_rng(_SEED).permutation(len(dataset.ids))[:_ICONS])
    names = dataset.icons["name"].iloc[rows].tolist()
    rgba_N4HW = torch.from_numpy(np.ascontiguousarray(dataset.rgba_N4HW[rows]))
    data_NCHW = to_unit(rgba_N4HW, recipe.data.color).to(generator.device)
    noise_NCHW = seeded_noise(len(rows), recipe.data.size, _SEED, 0, CHANNELS[recipe.data.color]).to(generator.device)
    t_N = torch.full((len(rows),), _TIME, device=generator.device)
    x_NCHW = interpolate(noise_NCHW, data_NCHW, t_N)

    def error(style: str) -> float:
        text = generator.encode([f"{name}, {style} style" for name in names])
        predicted_NCHW = generator.model.predicted_data(x_NCHW, t_N, text)
        return float((predicted_NCHW - data_NCHW).square().mean())

    return min(style_words(generator.checkpoint), key=error, default=None)
