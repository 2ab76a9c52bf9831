"""Detects copies of training images. Pure functions on feature or pixel matrices.

Shape suffixes: N samples, M training images, D feature width.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics.pairwise import euclidean_distances

Matrix = NDArray[np.floating]

COPY_THRESHOLD = 1 / 3
FLAG_RATE = 0.05  # share of held-out real images that are flagged
_ENOUGH = 40  # fewest images for calibrating a threshold, of which one is half of FLAG_RATE


@dataclass(frozen=True)
class Neighbors:
    """The nearest training image of each sample: its row, its distance, and the distance of the second nearest."""

    rows_N: NDArray[np.integer]
    nearest_N: NDArray[np.float64]
    second_N: NDArray[np.float64]

    @property
    def ratio_N(self) -> NDArray[np.float64]:
        """Nearest distance divided by second nearest, in [0, 1]. 0 means equal to exactly one training image."""
        return np.divide(self.nearest_N, self.second_N, out=np.ones_like(self.nearest_N), where=self.second_N > 0)


def neighbors(fake_ND: Matrix, train_MD: Matrix, own_rows_N: NDArray[np.integer] | None = None) -> Neighbors:
    """Nearest and second nearest rows of `train_MD`, whose images must be distinct, because two equal ones would hide a copy.

    `own_rows_N` is the row of the training image that is the sample itself, which is ignored, or -1. Raises ValueError when
    fewer than two training images are left.
    """
    distances_NM = euclidean_distances(fake_ND.astype(np.float64), train_MD.astype(np.float64))
    if own_rows_N is not None:
        itself = np.flatnonzero(own_rows_N >= 0)
        distances_NM[itself, own_rows_N[itself]] = np.inf
    if distances_NM.shape[1] < 2 + (own_rows_N is not None):
        raise ValueError("a ratio of distances needs at least two training images")
    two_N2 = np.argpartition(distances_NM, 1, axis=1)[:, :2]
    distances_N2 = np.take_along_axis(distances_NM, two_N2, axis=1)
    nearest = distances_N2.argmin(axis=1)
    samples = np.arange(len(fake_ND))
    return Neighbors(two_N2[samples, nearest], distances_N2[samples, nearest], distances_N2[samples, 1 - nearest])


def is_copy(found: Neighbors) -> NDArray[np.bool_]:
    """Ratio below 1/3: the criterion of Yoon et al. (ICML 2023 workshop, "Diffusion probabilistic models generalize when they
    fail to memorize") and Gu et al. 2310.02664. The criterion is strict and misses copies with rough texture.
    """
    return found.ratio_N < COPY_THRESHOLD


@dataclass(frozen=True)
class NearThreshold:
    """Thresholds of near copies.

    Attributes:
        features, pixels: a sample is flagged if the ratio of its nearest to its second nearest distance is below this, in
            features or in
            pixels. The first detects blurred copies, the second those with rough texture.
        rate: share of the calibration images that are flagged.
        images: number of calibration images.
    """

    features: float
    pixels: float
    rate: float
    images: int

    def flags(self, in_features: Neighbors, in_pixels: Neighbors) -> NDArray[np.bool_]:
        return (in_features.ratio_N < self.features) | (in_pixels.ratio_N < self.pixels)


def calibrate(in_features: Neighbors, in_pixels: Neighbors, rate: float = FLAG_RATE) -> NearThreshold | None:
    """Calibrate the threshold on the neighbors of real images that were not trained on, so that at most `rate` of them is
    flagged, and by each criterion at most half of it. None if there are too few images.

    Unlike the fixed ratio of :func:`is_copy`, it depends on how similar the training icons are.
    """
    count = len(in_features.ratio_N)
    if count < _ENOUGH:
        return None
    features, pixels = (float(np.sort(found.ratio_N)[int(rate / 2 * count)]) for found in (in_features, in_pixels))
    flagged_N = NearThreshold(features, pixels, 0.0, count).flags(in_features, in_pixels)
    return NearThreshold(features, pixels, float(flagged_N.mean()), count)


def is_authentic(found: Neighbors, among_trained: Neighbors) -> NDArray[np.bool_]:
    """Whether a sample is farther from its nearest training image than that image is from its own nearest. The share of such
    samples, in percent, is AuthPct (Alaa et al. 2102.08921). `among_trained` are the neighbors of the training images.
    """
    return found.nearest_N > among_trained.nearest_N[found.rows_N]
