"""Distances between two sets of images: KID, FD and FD-infinity. Pure functions on feature matrices.

All three are computed from matrices of inner products, so that the distance of a subset needs no further products of features.

Shape suffixes: N samples, M real images, D feature width.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

Matrix = NDArray[np.floating]

SUBSETS = 100  # for a confidence interval
CONFIDENCE = 0.95
_SIZES = 10  # subset sizes for the extrapolation of FD-infinity
_SMALLEST = 0.4  # smallest of them, as a share of all images


@dataclass(frozen=True)
class Products:
    """Inner products of real images and samples, in float64, and the feature width for normalizing kernels."""

    real_MM: NDArray[np.float64]
    fake_NN: NDArray[np.float64]
    cross_MN: NDArray[np.float64]
    width: int

    @classmethod
    def of(cls, real_MD: Matrix, fake_ND: Matrix) -> "Products":
        """Compute the inner products; raises ValueError with fewer than two images on a side."""
        if min(len(real_MD), len(fake_ND)) < 2:
            raise ValueError("a distance needs at least two images on each side")
        real_MD, fake_ND = real_MD.astype(np.float64), fake_ND.astype(np.float64)
        return cls(real_MD @ real_MD.T, fake_ND @ fake_ND.T, real_MD @ fake_ND.T, real_MD.shape[1])

    def of_subset(self, real_rows: NDArray[np.integer], fake_rows: NDArray[np.integer]) -> "Products":
        return Products(
            self.real_MM[np.ix_(real_rows, real_rows)],
            self.fake_NN[np.ix_(fake_rows, fake_rows)],
            self.cross_MN[np.ix_(real_rows, fake_rows)],
            self.width,
        )

    def subsets(self, share: float, count: int, random: np.random.Generator) -> Iterator["Products"]:
        """`count` random subsets, drawn without replacement, with `share` of the images of each side."""
        real, fake = self.cross_MN.shape
        for _ in range(count):
            yield self.of_subset(_draw(real, share, random), _draw(fake, share, random))


def _draw(count: int, share: float, random: np.random.Generator) -> NDArray[np.integer]:
    return random.choice(count, max(2, round(share * count)), replace=False)


def squared_mmd(products: Products) -> float:
    """Unbiased squared maximum mean discrepancy under k(x, y) = (x.y / D + 1)^3 (Binkowski et al. 1801.01401, equation 4).

    Its expectation is 0 for two sets from one distribution, so that it can be negative.
    """
    real_MM, fake_NN, cross_MN = ((p / products.width + 1) ** 3 for p in (products.real_MM, products.fake_NN, products.cross_MN))
    m, n = cross_MN.shape
    within_real = (real_MM.sum() - np.trace(real_MM)) / (m * (m - 1))
    within_fake = (fake_NN.sum() - np.trace(fake_NN)) / (n * (n - 1))
    return float(within_real + within_fake - 2 * cross_MN.mean())


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval."""

    value: float
    low: float
    high: float


def kid(products: Products, subsets: int = SUBSETS, seed: int = 0) -> Interval:
    """Kernel inception distance: :func:`squared_mmd` of all images, with a 95% confidence interval. Lower is better.

    The standard error is estimated by the delete-half jackknife (Shao and Wu, Annals of Statistics 17, 1989), the standard
    deviation over random halves of the images. For sets with fewer than four images, it uses subsets of two or three, and the
    interval is too narrow.
    """
    value = squared_mmd(products)
    halves = [squared_mmd(half) for half in products.subsets(0.5, subsets, np.random.default_rng(seed))]
    # With a share f of the images, the variance is f / (1 - f) times that of the estimate, which is equal for halves.
    error = float(np.sqrt(np.mean((np.array(halves) - value) ** 2)))
    reach = float(norm.ppf((1 + CONFIDENCE) / 2)) * error
    return Interval(value, value - reach, value + reach)


def fd(products: Products) -> float:
    """Frechet distance |mu_x - mu_y|^2 + tr(S_x + S_y - 2 (S_x S_y)^(1/2)) of the Gaussians with the sets' moments
    (Heusel et al. 1706.08500, equation 6). Lower is better.

    tr (S_x S_y)^(1/2) is the sum of the singular values of X Y' of the centered features, divided by the root of (m - 1)(n -
    1). This is exact even with fewer images than features, and needs no D x D matrix.
    """
    m, n = products.cross_MN.shape
    shift = products.real_MM.mean() + products.fake_NN.mean() - 2 * products.cross_MN.mean()
    spread_real = (np.trace(products.real_MM) - m * products.real_MM.mean()) / (m - 1)
    spread_fake = (np.trace(products.fake_NN) - n * products.fake_NN.mean()) / (n - 1)
    cross_MN = products.cross_MN
    centerd_MN = cross_MN - cross_MN.mean(axis=0) - cross_MN.mean(axis=1, keepdims=True) + cross_MN.mean()
    overlap = np.linalg.svd(centerd_MN, compute_uv=False).sum() / np.sqrt((m - 1) * (n - 1))
    return float(shift + spread_real + spread_fake - 2 * overlap)


def fd_infinity(products: Products, seed: int = 0) -> float:
    """:func:`fd` extrapolated to infinitely many images (Chong and Forsyth 1911.07023): the intercept of a linear fit of the
    distances of subsets against one over the subset size.

    Both sides are reduced to the same share, because both are small, which removes the bias of both. The result may be negative
    for equal sets. With far fewer images than features, the bias is not linear, and :func:`kid` is more reliable.
    """
    random = np.random.default_rng(seed)
    shares = np.linspace(_SMALLEST, 1, _SIZES)
    distances = [fd(subset) for share in shares for subset in products.subsets(share, 1, random)]
    return float(np.polynomial.Polynomial.fit(1 / shares, distances, 1)(0))
