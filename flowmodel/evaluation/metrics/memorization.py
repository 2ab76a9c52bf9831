"""Whether pictures are copies of training pictures. Pure functions on feature or pixel matrices.

Shape suffixes: N samples, M training pictures, D feature width.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics.pairwise import euclidean_distances

Matrix = NDArray[np.floating]

COPY_THRESHOLD = 1 / 3
FLAG_RATE = 0.05  # share of held-out real pictures that are flagged
_ENOUGH = 40  # pictures that a threshold can be calibrated on: one of them is half of FLAG_RATE


@dataclass(frozen=True)
class Neighbors:
    """The nearest training picture of each sample: its row, its distance, and that of the second nearest."""

    rows_N: NDArray[np.integer]
    nearest_N: NDArray[np.float64]
    second_N: NDArray[np.float64]

    @property
    def ratio_N(self) -> NDArray[np.float64]:
        """Nearest distance divided by second nearest, in [0, 1]. 0: equal to exactly one training picture."""
        return np.divide(self.nearest_N, self.second_N, out=np.ones_like(self.nearest_N), where=self.second_N > 0)


def neighbors(fake_ND: Matrix, train_MD: Matrix, own_rows_N: NDArray[np.integer] | None = None) -> Neighbors:
    """Nearest and second nearest of `train_MD`, which holds distinct pictures: two equal ones would hide a copy.

    `own_rows_N` says which training picture is the sample itself, and -1 where none is: that one doesn't count. Raises ValueError
    where fewer than two training pictures are left.
    """
    distances_NM = euclidean_distances(fake_ND.astype(np.float64), train_MD.astype(np.float64))
    if own_rows_N is not None:
        itself = np.flatnonzero(own_rows_N >= 0)
        distances_NM[itself, own_rows_N[itself]] = np.inf
    if distances_NM.shape[1] < 2 + (own_rows_N is not None):
        raise ValueError("a ratio of distances needs at least two training pictures")
    two_N2 = np.argpartition(distances_NM, 1, axis=1)[:, :2]
    distances_N2 = np.take_along_axis(distances_NM, two_N2, axis=1)
    nearest = distances_N2.argmin(axis=1)
    samples = np.arange(len(fake_ND))
    return Neighbors(two_N2[samples, nearest], distances_N2[samples, nearest], distances_N2[samples, 1 - nearest])


def is_copy(found: Neighbors) -> NDArray[np.bool_]:
    """Ratio below 1/3: the criterion of Yoon et al. (ICML 2023 workshop, "Diffusion probabilistic models generalize when they
    fail to memorize") and Gu et al. 2310.02664. Strict: a copy with rough texture passes for none.
    """
    return found.ratio_N < COPY_THRESHOLD


@dataclass(frozen=True)
class NearThreshold:
    """How like one training picture is suspicious.

    Attributes:
        features, pixels: a sample whose nearest training picture is nearer than this share of the second nearest is flagged, by
            features or by pixels. A blurred copy is found by the first, one with rough texture by the second.
        rate: share of the pictures it was calibrated on that are flagged.
        pictures: how many those were.
    """

    features: float
    pixels: float
    rate: float
    pictures: int

    def flags(self, in_features: Neighbors, in_pixels: Neighbors) -> NDArray[np.bool_]:
        return (in_features.ratio_N < self.features) | (in_pixels.ratio_N < self.pixels)


def calibrate(in_features: Neighbors, in_pixels: Neighbors, rate: float = FLAG_RATE) -> NearThreshold | None:
    """The threshold that flags at most `rate` of the real pictures whose neighbors these are, which were not trained on; each
    of its halves at most half of that. None where the pictures are too few to say.

    Unlike the fixed third of :func:`is_copy` it depends on the pictures: on how much alike training icons are.
    """
    count = len(in_features.ratio_N)
    if count < _ENOUGH:
        return None
    features, pixels = (float(np.sort(found.ratio_N)[int(rate / 2 * count)]) for found in (in_features, in_pixels))
    flagged_N = NearThreshold(features, pixels, 0.0, count).flags(in_features, in_pixels)
    return NearThreshold(features, pixels, float(flagged_N.mean()), count)


def is_authentic(found: Neighbors, among_trained: Neighbors) -> NDArray[np.bool_]:
    """Is a sample further from its nearest training picture than that one is from its own nearest? The share of those that are,
    in percent, is AuthPct (Alaa et al. 2102.08921). `among_trained` are the training pictures' own neighbors.
    """
    return found.nearest_N > among_trained.nearest_N[found.rows_N]
