"""Scores of the silhouette. Pure functions on premultiplied uint8 RGBA.

Shape suffixes: N images, H/W height and width.
"""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

_OPAQUE = 127.5  # half of 255; pixels with more alpha belong to the silhouette


def alpha_iou(fake_N4HW: Tensor, real_N4HW: Tensor) -> NDArray[np.float64]:
    """Intersection over union of the silhouettes of each pair; 1 if both are empty. Higher is better."""
    fake_NHW, real_NHW = fake_N4HW[:, 3] > _OPAQUE, real_N4HW[:, 3] > _OPAQUE
    both_N = (fake_NHW & real_NHW).sum(dim=(1, 2)).double()
    either_N = (fake_NHW | real_NHW).sum(dim=(1, 2)).double()
    return np.where(either_N > 0, both_N / either_N.clamp(min=1), 1.0)


def alpha_error(fake_N4HW: Tensor, real_N4HW: Tensor) -> NDArray[np.float64]:
    """Mean absolute difference of alpha for each pair, in [0, 1]. Lower is better."""
    difference_NHW = (fake_N4HW[:, 3].double() - real_N4HW[:, 3].double()).abs()
    return (difference_NHW.mean(dim=(1, 2)) / 255).numpy()
