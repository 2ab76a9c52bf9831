"""Bootstrap intervals of the difference between two models on the same icons. Pure functions.

Both models are scored on the same resample, so that icons that are hard for both do not widen the interval.

Shape suffixes: N icons, R resamples, D feature width.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap
from sklearn.metrics.pairwise import polynomial_kernel

from flowmodel.evaluation.metrics.distances import CONFIDENCE, Matrix

RESAMPLES = 2000
_SEED = 20_261_126  # fixed, so that the same scores give the same interval

Vector = NDArray[np.float64]


def interval(count: int, of_weights: Callable[[NDArray[np.float64]], Vector]) -> tuple[float, float]:
    """The 95% percentile bootstrap interval of a statistic over `count` icons.

    `of_weights` maps weights (R, N), the counts of each icon in each resample, to the R values of the statistic.
    """

    def statistic(drawn: NDArray[np.integer], axis: int) -> Vector:
        rows_RN = np.atleast_2d(np.moveaxis(drawn, axis, -1))
        weights_RN = np.zeros((len(rows_RN), count))
        np.add.at(weights_RN, (np.arange(len(rows_RN))[:, None], rows_RN), 1.0)
        return of_weights(weights_RN) if drawn.ndim > 1 else of_weights(weights_RN)[0]

    # Percentiles, because BCa is undefined if all icons score the same, as for two equal models.
    result = bootstrap(
        (np.arange(count),),
        statistic,
        n_resamples=RESAMPLES,
        batch=200,
        vectorized=True,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(_SEED),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def mean_interval(difference_N: Vector) -> tuple[float, float]:
    """The 95% interval of the mean of paired differences."""
    return interval(len(difference_N), lambda weights_RN: weights_RN @ difference_N / weights_RN.sum(axis=1))


def kid_terms(real_ND: Matrix, fake_ND: Matrix) -> NDArray[np.float64]:
    """The N x N terms k(x, x') + k(y, y') - k(x, y') - k(x', y). Their mean over all pairs of different icons is the KID of the
    samples `fake_ND`, one for each icon in `real_ND` (Gretton et al. 2012, lemma 6).

    The diagonal is 0, because retrieval measures the similarity of a sample to its own icon.
    """

    def kernel(x_ND: Matrix, y_ND: Matrix) -> NDArray[np.float64]:
        return np.asarray(polynomial_kernel(x_ND.astype(np.float64), y_ND.astype(np.float64), degree=3, coef0=1))

    cross_NN = kernel(real_ND, fake_ND)
    terms_NN = kernel(real_ND, real_ND) + kernel(fake_ND, fake_ND) - cross_NN - cross_NN.T
    np.fill_diagonal(terms_NN, 0.0)
    return terms_NN


def mean_of_pairs(terms_NN: NDArray[np.float64], weights_RN: NDArray[np.float64]) -> Vector:
    """The mean of the terms over pairs of different icons, for each resample. An icon does not pair with itself."""
    pairs_R = weights_RN.sum(axis=1) ** 2 - (weights_RN**2).sum(axis=1)
    return np.asarray(((weights_RN @ terms_NN) * weights_RN).sum(axis=1) / pairs_R)
