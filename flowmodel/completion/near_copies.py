"""Finds samples that nearly copy an icon of the set that a model was fine-tuned on.

Shape suffixes: N samples, M icons of the set, H/W height and width.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from flowmodel.evaluation.features import load_extractor
from flowmodel.evaluation.metrics.memorization import calibrate, is_copy, neighbors

_FEWEST = 4  # icons: each is compared with the others, and a ratio of distances needs two of them


def copied_icons(rgba_N4HW: Tensor, icons_M4HW: Tensor) -> list[int | None]:
    """For each sample the row of the icon that it nearly copies, or None.

    The threshold is calibrated on the set itself: each icon is compared with the others, and at most 5% of them may count as
    near copies. For fewer than 40 icons it is the fixed ratio of :func:`is_copy`; for fewer than four there is no result. Takes
    premultiplied uint8 images; samples that a finisher has enlarged are averaged to the size of the icons.
    """
    if (factor := rgba_N4HW.shape[-1] // icons_M4HW.shape[-1]) > 1:
        rgba_N4HW = avg_pool2d(rgba_N4HW.float(), factor).round().to(torch.uint8)
    own_M4HW, first_M = np.unique(icons_M4HW.numpy(), axis=0, return_index=True)  # equal icons would hide a copy
    if len(own_M4HW) < _FEWEST:
        return [None] * len(rgba_N4HW)
    extract = load_extractor()
    own, samples = extract(torch.from_numpy(own_M4HW)).layout_ND, extract(rgba_N4HW).layout_ND
    own_pixels, sample_pixels = (x.reshape(len(x), -1).astype(np.float32) for x in (own_M4HW, rgba_N4HW.numpy()))
    rows_M = np.arange(len(own))
    threshold = calibrate(neighbors(own, own, rows_M), neighbors(own_pixels, own_pixels, rows_M))
    in_features, in_pixels = neighbors(samples, own), neighbors(sample_pixels, own_pixels)
    flags_N = threshold.flags(in_features, in_pixels) if threshold else is_copy(in_features) | is_copy(in_pixels)
    return [int(first_M[row]) if flag else None for flag, row in zip(flags_N, in_features.rows_N, strict=True)]
