"""Subpixel outlines of regions: assigns each part of the enlarged image to a region.

An edge is where the smoothly enlarged image is equally far from both of its regions, so that a row of partially covered pixels
becomes a smooth line in the right place.

Shape suffixes: H/W height and width, Y/X those of the enlarged image, 4 channels (premultiplied RGBA in [0, 1]), R regions.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from flowmodel.vector.regions import MIXED, Floats, Labels, distances_to_mixtures

SCALE = 4
_REACH = 2
_SMOOTHING = 1.2  # sigma of the smoothing of borders, in enlarged pixels
_SPECK = 10  # smaller parts are merged into their neighbors; in enlarged pixels, less than one original pixel


def enlarged_labels(rgba_HW4: Floats, labels_HW: Labels, planes_R34: Floats) -> Labels:
    """The region of each part of the image at SCALE times the resolution; none is MIXED.

    `planes_R34` are the regions' affine color models: the color at (0, 0), and its change per pixel to the right and down.
    """
    allowed_RHW = _allowed(rgba_HW4, labels_HW, planes_R34)
    large_YX4 = enlarged(rgba_HW4)
    y_YX1, x_YX1 = ((np.mgrid[: large_YX4.shape[0], : large_YX4.shape[1]] + 0.5) / SCALE - 0.5)[..., None]
    best_YX, labels_YX = np.full(large_YX4.shape[:2], np.inf), np.zeros(large_YX4.shape[:2], dtype=np.int32)
    for region, (at_0, by_x, by_y) in enumerate(planes_R34):
        place = _box(allowed_RHW[region])
        y, x = (slice(edge.start * SCALE, edge.stop * SCALE) for edge in place)
        color = at_0 + by_x * x_YX1[y, x] + by_y * y_YX1[y, x]
        distance = ((large_YX4[y, x] - color) ** 2).sum(axis=-1)
        distance[~_repeated(allowed_RHW[region][place])] = np.inf
        better = distance < best_YX[y, x]
        best_YX[y, x][better], labels_YX[y, x][better] = distance[better], region
    return _without_specks(_smoothed(labels_YX))


def enlarged(rgba_HW4: Floats) -> Floats:
    """Bicubic enlargement, (Y, X, 4) in [0, 1]."""
    size = (rgba_HW4.shape[1] * SCALE, rgba_HW4.shape[0] * SCALE)
    channels = [Image.fromarray(np.ascontiguousarray(rgba_HW4[..., c], dtype=np.float32)) for c in range(4)]
    return np.stack([np.asarray(channel.resize(size, Image.Resampling.BICUBIC)) for channel in channels], axis=-1).clip(0, 1)


def _allowed(rgba_HW4: Floats, labels_HW: Labels, planes_R34: Floats) -> NDArray[np.bool_]:
    """The candidate regions of each pixel, (R, H, W): its own and its four neighbors', or the two that it is a mixture of."""
    allowed_RHW = np.arange(len(planes_R34))[:, None, None] == labels_HW
    cross = ndimage.generate_binary_structure(2, 1)[None]
    allowed_RHW |= ndimage.binary_dilation(allowed_RHW, cross) & (labels_HW != MIXED)
    _, (near_row, near_column) = ndimage.distance_transform_edt(labels_HW == MIXED, return_indices=True)
    for row, column in zip(*np.nonzero(labels_HW == MIXED), strict=True):
        window = labels_HW[max(row - _REACH, 0) : row + _REACH + 1, max(column - _REACH, 0) : column + _REACH + 1]
        regions = np.unique(window[window != MIXED])
        if len(regions) > 2:
            colors = planes_R34[regions]
            colors_R4 = colors[:, 0] + colors[:, 1] * column + colors[:, 2] * row
            pair = distances_to_mixtures(rgba_HW4[row, column][None], colors_R4)[0].argmin()
            regions = regions[[index[pair] for index in np.triu_indices(len(regions), 1)]]
        elif not len(regions):
            regions = labels_HW[near_row[row, column], near_column[row, column]]
        allowed_RHW[regions, row, column] = True
    return allowed_RHW


def _box(mask_HW: NDArray[np.bool_]) -> tuple[slice, slice]:
    found: list[tuple[slice, slice]] = ndimage.find_objects(mask_HW.astype(np.int8))
    return found[0]


def _repeated(mask_HW: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return mask_HW.repeat(SCALE, axis=0).repeat(SCALE, axis=1)


def _smoothed(labels_YX: Labels) -> Labels:
    """Reassign each part to the region that covers most of its surroundings."""
    best_YX, smoothed_YX = np.zeros(labels_YX.shape), labels_YX.copy()
    margin = round(4 * _SMOOTHING)
    for region, place in enumerate(ndimage.find_objects(labels_YX + 1)):
        if place is None:
            continue
        y, x = (slice(max(edge.start - margin, 0), edge.stop + margin) for edge in place)
        share = ndimage.gaussian_filter((labels_YX[y, x] == region).astype(np.float32), _SMOOTHING, mode="nearest")
        more = share > best_YX[y, x]
        best_YX[y, x][more], smoothed_YX[y, x][more] = share[more], region
    return smoothed_YX


def coverage(labels_YX: Labels, regions: int) -> Floats:
    """The share of each pixel that each region covers, (R, H, W) in [0, 1]."""
    height, width = (edge // SCALE for edge in labels_YX.shape)
    pixel_YX = np.arange(height * width).reshape(height, width).repeat(SCALE, axis=0).repeat(SCALE, axis=1)
    counts = np.bincount((labels_YX * height * width + pixel_YX).ravel(), minlength=regions * height * width)
    return counts.reshape(regions, height, width) / SCALE**2


def parts(labels_YX: Labels) -> tuple[Labels, NDArray[np.intp]]:
    """Label the connected parts of all regions with 1, 2, …; also returns the region of part i + 1."""
    parts_YX = np.zeros_like(labels_YX)
    regions: list[int] = []
    for region, place in enumerate(ndimage.find_objects(labels_YX + 1)):
        if place is None:
            continue
        is_own = labels_YX[place] == region
        numbers, count = ndimage.label(is_own, np.ones((3, 3)))
        parts_YX[place][is_own] = numbers[is_own] + len(regions)
        regions += [region] * count
    return parts_YX, np.array(regions)


def _without_specks(labels_YX: Labels) -> Labels:
    parts_YX, _ = parts(labels_YX)
    is_speck_YX = np.bincount(parts_YX.ravel())[parts_YX] < _SPECK
    nearest = ndimage.distance_transform_edt(is_speck_YX, return_distances=False, return_indices=True)
    return labels_YX[tuple(nearest)]
