"""Segments an image into as few regions of constant or linearly changing color as it allows.

Regions are merged as in Koepfler, Lopez and Morel's method for the Mumford-Shah functional (SIAM J. Numer. Anal. 31, 1994), but
with an affine color per region, so that a gradient is one region and not a series of bands. The number of regions depends on
the image: two regions stay separate if merging would raise the squared error by more than the cost of their border.

Pixels that are mixtures of both sides of an edge belong to no region, because an intermediate color would become a rim.

Shape suffixes: H/W height and width, 4 channels (premultiplied RGBA in [0, 1]), R regions, E borders between two, M moments.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Floats = NDArray[np.floating]
Labels = NDArray[np.integer]

MIXED = -1

_PER_REGION, _PER_BORDER_PIXEL = 0.06, 0.012  # squared error that removing a region, and a border pixel, may cost
_ROUNDS = (0.03, 0.1, 0.3, 1.0)  # fractions of it, so that the most similar regions merge first
_MOST = 250  # most regions; only noise has more, and then the bound is raised
_STIFFNESS = 40.0  # keeps the slope of tiny regions near 0, in pixels squared
_EDGE = 0.15  # least contrast of an edge, as a distance of premultiplied colors
_NOISE = 0.04
_REACH = 2  # greatest width of an edge in samples, in pixels


def segment(rgba_HW4: Floats) -> Labels:
    """The region of each pixel, 0, 1, …; MIXED for edge pixels."""
    labels_HW = _without_rims(rgba_HW4, _merged(rgba_HW4, ~_between_two(rgba_HW4)))
    sizes_R = np.bincount(labels_HW[labels_HW != MIXED])
    labels_HW[np.isin(labels_HW, np.argsort(-sizes_R, kind="stable")[_MOST:])] = MIXED
    return _numbered(labels_HW)


def _shifted(x_HW4: Floats, dy: int, dx: int) -> Floats:
    """Each pixel's neighbor in a direction; border pixels are replicated."""
    height, width = x_HW4.shape[:2]
    rows, columns = np.arange(height) + dy, np.arange(width) + dx
    return x_HW4[rows.clip(0, height - 1)][:, columns.clip(0, width - 1)]


def _between_two(rgba_HW4: Floats) -> NDArray[np.bool_]:
    """Whether a pixel is between two opposite neighbors in position and color, each of which continues behind it.

    A pixel that is darker or lighter than both neighbors in another direction is a line instead.
    """
    between_HW = np.zeros(rgba_HW4.shape[:2], dtype=bool)
    extreme_HW = between_HW.copy()
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        before, after = _shifted(rgba_HW4, -dy, -dx), _shifted(rgba_HW4, dy, dx)
        to_before, to_after, across = before - rgba_HW4, after - rgba_HW4, after - before
        contrast_HW = np.linalg.norm(across, axis=-1)
        share_HW = -(to_before * across).sum(-1) / np.maximum(contrast_HW**2, 1e-9)
        off_HW = np.linalg.norm(to_before + share_HW[..., None] * across, axis=-1)
        behind_HW = np.linalg.norm(_shifted(rgba_HW4, -2 * dy, -2 * dx) - before, axis=-1)
        behind_HW = behind_HW + np.linalg.norm(_shifted(rgba_HW4, 2 * dy, 2 * dx) - after, axis=-1)
        is_between_HW = (contrast_HW > _EDGE) & (share_HW > 0.05) & (share_HW < 0.95) & (behind_HW < contrast_HW / 2)
        between_HW |= is_between_HW & (off_HW < _NOISE + 0.15 * contrast_HW)
        nearer_HW = np.minimum(np.linalg.norm(to_before, axis=-1), np.linalg.norm(to_after, axis=-1))
        extreme_HW |= ((to_before * to_after).sum(-1) > 0) & (nearer_HW > _EDGE)
    return between_HW & ~extreme_HW


def _merged(rgba_HW4: Floats, is_in_HW: NDArray[np.bool_]) -> Labels:
    """Segment the pixels in `is_in_HW`; the others are MIXED."""
    region_HW = np.full(is_in_HW.shape, MIXED, dtype=np.int32)
    region_HW[is_in_HW] = np.arange(is_in_HW.sum(), dtype=np.int32)
    moments_RM = _moments(rgba_HW4)[is_in_HW]
    ends = ((region_HW[:, :-1], region_HW[:, 1:]), (region_HW[:-1], region_HW[1:]))
    pairs_2E = np.concatenate([np.stack([one.ravel(), other.ravel()]) for one, other in ends], axis=1)
    pairs_2E = pairs_2E[:, (pairs_2E != MIXED).all(axis=0)]
    lengths_E: Floats = np.ones(pairs_2E.shape[1])
    for share in (*_ROUNDS, *(2.0**doubled for doubled in range(1, 20))):
        while pairs_2E.size and (share <= _ROUNDS[-1] or len(moments_RM) > _MOST):
            cost_E = _costs(moments_RM, pairs_2E, lengths_E)
            of_first_E, of_second_E = _cheapest(cost_E, pairs_2E, len(moments_RM))
            # Nearly equal regions merge in whole chains; others only if each is the other's cheapest neighbor.
            joins_E = (of_first_E | of_second_E if share == _ROUNDS[0] else of_first_E & of_second_E) & (cost_E < share)
            if not joins_E.any():
                break
            count, number_R = _united(pairs_2E[:, joins_E], len(moments_RM))
            moments_RM = np.stack([np.bincount(number_R, of_R, count) for of_R in moments_RM.T], axis=1)
            region_HW[is_in_HW] = number_R[region_HW[is_in_HW]]
            pairs_2E, lengths_E = _borders(number_R[pairs_2E], lengths_E, count)
    return region_HW


def _moments(rgba_HW4: Floats) -> Floats:
    """The moments of each pixel for fitting affine colors, (H, W, M); moments of merged regions are sums."""
    height, width = rgba_HW4.shape[:2]
    y_HW1, x_HW1 = np.mgrid[:height, :width].astype(float)[..., None]
    one_HW1 = np.ones_like(x_HW1)
    places = [one_HW1, x_HW1, y_HW1, x_HW1**2, x_HW1 * y_HW1, y_HW1**2]
    return np.concatenate([*places, rgba_HW4, x_HW1 * rgba_HW4, y_HW1 * rgba_HW4, (rgba_HW4**2).sum(-1, keepdims=True)], axis=-1)


def _error(moments_RM: Floats) -> Floats:
    """Squared error of the best affine color of each region, including the slope penalty."""
    n, x, y, xx, xy, yy = moments_RM[:, :6].T
    c_R4, xc_R4, yc_R4 = moments_RM[:, 6:10], moments_RM[:, 10:14], moments_RM[:, 14:18]
    xx, xy, yy = xx - x * x / n + _STIFFNESS, xy - x * y / n, yy - y * y / n + _STIFFNESS
    xc_R4, yc_R4 = xc_R4 - (x / n)[:, None] * c_R4, yc_R4 - (y / n)[:, None] * c_R4
    explained = yy * (xc_R4**2).sum(1) - 2 * xy * (xc_R4 * yc_R4).sum(1) + xx * (yc_R4**2).sum(1)
    return moments_RM[:, 18] - (c_R4**2).sum(1) / n - explained / (xx * yy - xy * xy)


def _costs(moments_RM: Floats, pairs_2E: Labels, lengths_E: Floats) -> Floats:
    """The cost of merging the regions at each border, as a fraction of the bound."""
    error_R = _error(moments_RM)
    rise_E = _error(moments_RM[pairs_2E[0]] + moments_RM[pairs_2E[1]]) - error_R[pairs_2E[0]] - error_R[pairs_2E[1]]
    return rise_E / (_PER_REGION + _PER_BORDER_PIXEL * lengths_E)


def _cheapest(cost_E: Floats, pairs_2E: Labels, count: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether a border is the cheapest one of its first and of its second region."""
    rank_E = np.empty(len(cost_E), dtype=np.intp)
    # Ties are broken randomly, with a fixed seed; otherwise, pixels of flat areas would merge one after another.
    rank_E[np.lexsort((np.random.default_rng(0).random(len(cost_E)), cost_E))] = np.arange(len(cost_E))
    best_R = np.full(count, len(cost_E))
    for side_E in pairs_2E:
        np.minimum.at(best_R, side_E, rank_E)
    return best_R[pairs_2E[0]] == rank_E, best_R[pairs_2E[1]] == rank_E


def _united(pairs_2E: Labels, count: int) -> tuple[int, Labels]:
    """The number of regions after merging these pairs, and the new index of each region."""
    graph = coo_array((np.ones(pairs_2E.shape[1]), (pairs_2E[0], pairs_2E[1])), shape=(count, count))
    left, number_R = connected_components(graph, directed=False)
    return left, number_R


def _borders(pairs_2E: Labels, lengths_E: Floats, count: int) -> tuple[Labels, Floats]:
    """Each pair of adjacent regions once, with the total length of its border."""
    differ_E = pairs_2E[0] != pairs_2E[1]
    lower_E, upper_E = np.sort(pairs_2E[:, differ_E].astype(np.int64), axis=0)
    key_F, number_E = np.unique(lower_E * count + upper_E, return_inverse=True)
    totals_F = np.bincount(number_E, lengths_E[differ_E], minlength=len(key_F))
    return np.stack([key_F // count, key_F % count]), totals_F.astype(float)


def _without_rims(rgba_HW4: Floats, labels_HW: Labels) -> Labels:
    """Mark thin regions whose pixels are mixtures of two adjacent regions as MIXED."""
    labels_HW = labels_HW.copy()
    inner_HW = _interior(labels_HW)
    sizes_R = np.bincount(labels_HW[labels_HW >= 0], minlength=labels_HW.max() + 1)
    solid_R = np.zeros(len(sizes_R), dtype=bool)
    solid_R[np.unique(labels_HW[inner_HW])] = True
    means_R4 = np.stack([ndimage.mean(rgba_HW4[..., c], labels_HW, np.arange(len(sizes_R))) for c in range(4)], axis=1)
    for region in np.argsort(sizes_R, kind="stable"):
        if solid_R[region]:
            continue
        rows, columns = np.nonzero(labels_HW == region)
        near = [set(np.unique(w)) - {MIXED, region} for w in _windows(labels_HW, rows, columns)]
        counts: dict[int, int] = {}
        for labels in near:
            for label in labels:
                counts[label] = counts.get(label, 0) + 1
        beside = [label for label, count in counts.items() if count >= 0.6 * len(near)]
        if len(beside) < 2:
            continue
        off_K = distances_to_mixtures(rgba_HW4[rows, columns], means_R4[beside]).min(axis=1)
        if (off_K**2).sum() < _PER_REGION / 2 + len(off_K) * _NOISE**2:
            labels_HW[rows, columns] = MIXED
    return labels_HW


def _numbered(labels_HW: Labels) -> Labels:
    """Renumber the regions to 0, 1, … without gaps."""
    kept_R, number_HW = np.unique(labels_HW, return_inverse=True)
    return number_HW.reshape(labels_HW.shape) + min(int(kept_R[0]), 0)


def _interior(labels_HW: Labels) -> NDArray[np.bool_]:
    """Pixels whose four neighbors are in the same region; border pixels are replicated."""
    padded = np.pad(labels_HW, 1, mode="edge")
    sides = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return np.logical_and.reduce([side == labels_HW for side in sides]) & (labels_HW != MIXED)


def _windows(labels_HW: Labels, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Iterator[Labels]:
    for row, column in zip(rows, columns, strict=True):
        yield labels_HW[max(row - _REACH, 0) : row + _REACH + 1, max(column - _REACH, 0) : column + _REACH + 1]


def distances_to_mixtures(rgba_K4: Floats, colors_R4: Floats) -> Floats:
    """Distance of each color to the closest mixture of each pair of `colors_R4`, in the order of np.triu_indices: (K, pairs)."""
    first, second = np.triu_indices(len(colors_R4), 1)
    from_P4, across_P4 = colors_R4[first], colors_R4[second] - colors_R4[first]
    off_KP4 = rgba_K4[:, None] - from_P4
    share_KP = (off_KP4 * across_P4).sum(-1) / np.maximum((across_P4**2).sum(-1), 1e-9)
    return np.linalg.norm(off_KP4 - share_KP.clip(0, 1)[..., None] * across_P4, axis=-1)
