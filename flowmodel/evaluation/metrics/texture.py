"""Texture statistics, without any network: flat areas, edges, colors and transparency. Each is compared with real icons of the
same style (docs/evaluation.md). Pure functions on premultiplied uint8 RGBA (N, 4, H, W) that pool the pixels of all images.

The difference at a pixel is the sum over four channels in [0, 1] of the absolute differences to its right and lower neighbors,
so it is in [0, 8]. An inner pixel and both of its neighbors are opaque.

Shape suffixes: N images, H/W height and width, K pixels.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

FLAT = 0.04  # differences below this are invisible
_EDGE = 0.3  # larger differences belong to an edge
_EDGE_SHARE = 0.05  # share of the pixels with the largest differences
_OPAQUE = 0.98  # higher alpha counts as opaque, and alpha below 1 - _OPAQUE as transparent
_COLOR_BITS, _AREA = 5, 0.95


def texture(rgba_N4HW: Tensor) -> dict[str, float]:
    """All statistics by name, without `flat_share` and `inner_variation` if there are no inner pixels."""
    if not len(rgba_N4HW):
        return {}
    difference_NHW = differences(rgba_N4HW)
    inner_K = difference_NHW[inner_pixels(rgba_N4HW)]
    inside = {"flat_share": flat_share(inner_K), "inner_variation": inner_variation(inner_K)} if len(inner_K) else {}
    return inside | {
        "edge_sharpness": edge_sharpness(difference_NHW),
        "half_transparent": half_transparent(rgba_N4HW),
        "color_count": color_count(rgba_N4HW),
        "finest_band": finest_band(rgba_N4HW),
    }


def differences(rgba_N4HW: Tensor) -> Tensor:
    """The difference at each pixel with both neighbors: (N, H - 1, W - 1), float32 in [0, 8]."""
    unit_N4HW = rgba_N4HW.float() / 255
    here_N4HW = unit_N4HW[:, :, :-1, :-1]
    return ((unit_N4HW[:, :, :-1, 1:] - here_N4HW).abs() + (unit_N4HW[:, :, 1:, :-1] - here_N4HW).abs()).sum(dim=1)


def inner_pixels(rgba_N4HW: Tensor) -> Tensor:
    """Which pixels of :func:`differences` are inner pixels: bool (N, H - 1, W - 1)."""
    opaque_NHW = rgba_N4HW[:, 3] > _OPAQUE * 255
    return opaque_NHW[:, :-1, :-1] & opaque_NHW[:, :-1, 1:] & opaque_NHW[:, 1:, :-1]


def flat_share(inner_K: Tensor) -> float:
    """Share of inner pixels, given their differences, that are flat: in [0, 1]."""
    return float((inner_K < FLAT).float().mean())


def inner_variation(inner_K: Tensor) -> float:
    """Mean difference of inner pixels that do not belong to an edge: in [0, 0.3)."""
    between_edges_K = inner_K[inner_K < _EDGE]
    return float(between_edges_K.mean()) if len(between_edges_K) else 0.0


def edge_sharpness(difference_NHW: Tensor) -> float:
    """Mean of the largest 5% of all differences, silhouettes included: in [0, 8]."""
    count = max(1, round(_EDGE_SHARE * difference_NHW.numel()))
    return float(difference_NHW.flatten().topk(count).values.mean())


def half_transparent(rgba_N4HW: Tensor) -> float:
    """Share of half-transparent pixels among all: alpha between 0.02 and 0.98."""
    alpha_NHW = rgba_N4HW[:, 3].float() / 255
    return float(((alpha_NHW > 1 - _OPAQUE) & (alpha_NHW < _OPAQUE)).float().mean())


def color_count(rgba_N4HW: Tensor) -> float:
    """Number of colors, with five bits per channel, that cover 95% of the visible area of an image; averaged over images."""
    step_N4HW = (rgba_N4HW.int() >> (8 - _COLOR_BITS)).numpy()
    key_NK = np.ravel_multi_index(tuple(step_N4HW.swapaxes(0, 1)), (1 << _COLOR_BITS,) * 4).reshape(len(rgba_N4HW), -1)
    visible_NK = (rgba_N4HW[:, 3] > 0).flatten(1).numpy()
    return float(np.mean([_covering(key_K[is_visible_K]) for key_K, is_visible_K in zip(key_NK, visible_NK, strict=True)]))


def _covering(key_K: np.ndarray) -> int:
    _, counts = np.unique(key_K, return_counts=True)
    covered = np.cumsum(np.sort(counts)[::-1])
    return int(np.searchsorted(covered, _AREA * len(key_K))) + 1 if len(key_K) else 0


def finest_band(rgba_N4HW: Tensor) -> float:
    """RMS of the diagonal details of the Haar wavelet over all 2 x 2 blocks and channels, with channels in [0, 1]."""
    unit_N4HW = rgba_N4HW.float() / 255
    kernel_1122 = torch.tensor([[[[0.5, -0.5], [-0.5, 0.5]]]]).expand(4, 1, 2, 2)
    return float(F.conv2d(unit_N4HW, kernel_1122, stride=2, groups=4).square().mean().sqrt())
