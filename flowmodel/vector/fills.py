"""The fills of regions: a flat color or a linear gradient, with as few different colors as the image allows.

Shape suffixes: H/W height and width, 4 channels (premultiplied RGBA in [0, 1]), R regions, K pixels, S stops, U stops of all
regions.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage

from flowmodel.vector.regions import Floats, Labels

Point = tuple[float, float]

_STIFFNESS = 10.0  # keeps the slope of tiny regions near 0, in pixels squared
_LEAST_CHANGE = 0.07  # least color distance between the ends of a gradient; below it, the fill is flat
_LEAST_GAIN = 0.15  # least reduction of the squared error by a gradient
_PULL = 0.3  # weight, in pixels, of the color of inner pixels
_ALIKE = 0.045  # distance below which flat colors are merged
_TRANSPARENT, _OPAQUE = 0.1, 0.93  # alpha below or above these becomes 0 or 1


@dataclass(frozen=True)
class Fill:
    """A region's fill: one color, `stops_S4[0]`, or two at the ends of the line from `start` to `end` (x, y, in pixels)."""

    stops_S4: Floats
    start: Point | None = None
    end: Point | None = None

    @property
    def is_flat(self) -> bool:
        return self.start is None

    @property
    def is_opaque(self) -> bool:
        return bool((self.stops_S4[:, 3] == 1).all())


def planes(rgba_HW4: Floats, labels_HW: Labels) -> Floats:
    """Each region's affine color model, (R, 3, 4): the color at (0, 0), and its change per pixel to the right and down."""
    planes_R34 = np.zeros((labels_HW.max() + 1, 3, 4))
    for region in range(len(planes_R34)):
        rows, columns = np.nonzero(labels_HW == region)
        places_K2, colors_K4 = np.stack([columns, rows], axis=1).astype(float), rgba_HW4[rows, columns]
        center_2, mean_4 = places_K2.mean(axis=0), colors_K4.mean(axis=0)
        off_K2 = places_K2 - center_2
        slopes_24 = np.linalg.solve(off_K2.T @ off_K2 + _STIFFNESS * np.eye(2), off_K2.T @ (colors_K4 - mean_4))
        planes_R34[region] = mean_4 - center_2 @ slopes_24, *slopes_24
    return planes_R34


def fills(rgba_HW4: Floats, labels_HW: Labels, planes_R34: Floats, coverage_RHW: Floats) -> dict[int, Fill]:
    """The fill of each region that is not transparent.

    `coverage_RHW` is each region's share of each pixel. The colors are the least-squares solution for the mixed pixels, so that
    a line that covers half a pixel gets its full contrast.
    """
    axes = {region: _axis(rgba_HW4, labels_HW == region, planes_R34[region]) for region in range(len(planes_R34))}
    axes = {region: axis for region, axis in axes.items() if (rgba_HW4[..., 3][labels_HW == region]).mean() > _TRANSPARENT}
    if not axes:
        return {}
    weights_KU = np.stack([w.ravel() for r, axis in axes.items() for w in _weights(coverage_RHW[r], axis)], axis=1)
    ends_U3 = np.array([(region, *end) for region, axis in axes.items() for end in axis])
    planes_U34 = planes_R34[ends_U3[:, 0].astype(int)]
    before_U4 = planes_U34[:, 0] + planes_U34[:, 1] * ends_U3[:, 1:2] + planes_U34[:, 2] * ends_U3[:, 2:]
    pull_UU = _PULL * np.eye(len(before_U4))
    colors_U4 = np.linalg.solve(weights_KU.T @ weights_KU + pull_UU, weights_KU.T @ rgba_HW4.reshape(-1, 4) + pull_UU @ before_U4)
    found, first = {}, 0
    for region, axis in axes.items():
        found[region] = Fill(_clean(colors_U4[first : first + len(axis)]), *(axis if len(axis) == 2 else ()))
        first += len(axis)
    return _few_colors(found, coverage_RHW.sum(axis=(1, 2)))


def _axis(rgba_HW4: Floats, is_own_HW: NDArray[np.bool_], plane_34: Floats) -> tuple[Point, ...]:
    """Both ends of the line along which a region's color changes, or only its center if one color suffices."""
    rows, columns = np.nonzero(is_own_HW)
    places_K2, colors_K4 = np.stack([columns, rows], axis=1).astype(float), rgba_HW4[is_own_HW]
    center_2 = places_K2.mean(axis=0)
    # The direction of the largest change; all channels change along it.
    direction_2 = np.linalg.svd(plane_34[1:])[0][:, 0]
    along_K = (places_K2 - center_2) @ direction_2
    slope_4 = direction_2 @ plane_34[1:]
    off_K4 = colors_K4 - colors_K4.mean(axis=0)
    gain = (off_K4**2).sum() - ((off_K4 - along_K[:, None] * slope_4) ** 2).sum()
    if gain < _LEAST_GAIN or np.linalg.norm(slope_4) * np.ptp(along_K) < _LEAST_CHANGE:
        return (tuple(center_2),)
    start_2, end_2 = (center_2 + edge * direction_2 for edge in (along_K.min(), along_K.max()))
    return (tuple(start_2), tuple(end_2))


def _weights(coverage_HW: Floats, axis: tuple[Point, ...]) -> list[Floats]:
    """The weight of each end of a fill in each pixel."""
    if len(axis) == 1:
        return [coverage_HW]
    y_HW, x_HW = np.mgrid[: coverage_HW.shape[0], : coverage_HW.shape[1]].astype(float)
    (x0, y0), (x1, y1) = axis
    share_HW = (((x_HW - x0) * (x1 - x0) + (y_HW - y0) * (y1 - y0)) / ((x1 - x0) ** 2 + (y1 - y0) ** 2)).clip(0, 1)
    return [coverage_HW * (1 - share_HW), coverage_HW * share_HW]


def _clean(stops_S4: Floats) -> Floats:
    """Valid premultiplied colors; nearly opaque ones become opaque."""
    stops_S4 = stops_S4.clip(0, 1)
    alpha_S1 = stops_S4[:, 3:]
    straight_S3 = (stops_S4[:, :3] / np.maximum(alpha_S1, 1e-6)).clip(0, 1)
    alpha_S1 = np.where(alpha_S1 > _OPAQUE, 1.0, alpha_S1)
    return np.concatenate([straight_S3 * alpha_S1, alpha_S1], axis=1)


def _few_colors(found: dict[int, Fill], areas_R: Floats) -> dict[int, Fill]:
    """Replace flat colors that are hard to tell apart by their area-weighted mean."""
    flat = [region for region, fill in found.items() if fill.is_flat]
    if len(flat) < 2:
        return found
    colors_R4 = np.stack([found[region].stops_S4[0] for region in flat])
    groups_R = fcluster(linkage(colors_R4, "complete"), _ALIKE, "distance")
    for group in np.unique(groups_R):
        own = np.flatnonzero(groups_R == group)
        mean_4 = np.average(colors_R4[own], axis=0, weights=areas_R[[flat[i] for i in own]] + 1e-6)
        found |= {flat[i]: Fill(_clean(mean_4[None])) for i in own}
    return found
