"""Metrics as pure functions on feature matrices.

Shape suffixes: N samples, M real pictures, D feature width, K neighbours.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics.pairwise import cosine_similarity, euclidean_distances, polynomial_kernel

Matrix = NDArray[np.floating]

COPY_THRESHOLD = 1 / 3


def squared_mmd(real_MD: Matrix, fake_ND: Matrix) -> float:
    """Unbiased squared maximum mean discrepancy under k(x, y) = (x.y / D + 1)^3 (Binkowski et al. 1801.01401, equation 4).

    About 0 for two samples of one distribution, and then as often below as above.
    """
    m, n = len(real_MD), len(fake_ND)
    real_MM, fake_NN, cross_MN = (
        polynomial_kernel(a.astype(np.float64), b.astype(np.float64), degree=3)
        for a, b in ((real_MD, real_MD), (fake_ND, fake_ND), (real_MD, fake_ND))
    )
    within_real = (real_MM.sum() - np.trace(real_MM)) / (m * (m - 1))
    within_fake = (fake_NN.sum() - np.trace(fake_NN)) / (n * (n - 1))
    return float(within_real + within_fake - 2 * cross_MN.mean())


def kid(real_MD: Matrix, fake_ND: Matrix, subsets: int = 50, subset_size: int = 100, seed: int = 0) -> tuple[float, float]:
    """Kernel inception distance: mean and standard deviation of :func:`squared_mmd` over random subsets. Lower is better.

    Subsets are drawn without replacement and hold `subset_size` pictures of each side, but at most half of the smaller side:
    subsets that are all the same would have no deviation. The expected value doesn't depend on their size.
    Raises ValueError with fewer than two pictures on a side.
    """
    smaller = min(len(real_MD), len(fake_ND))
    if smaller < 2:
        raise ValueError("KID needs at least two pictures on each side")
    size = min(subset_size, max(2, smaller // 2))
    random = np.random.default_rng(seed)
    values = [
        squared_mmd(real_MD[random.choice(len(real_MD), size, False)], fake_ND[random.choice(len(fake_ND), size, False)])
        for _ in range(subsets)
    ]
    return float(np.mean(values)), float(np.std(values))


def retrieval(fake_ND: Matrix, gallery_MD: Matrix, gallery_labels_M: NDArray, labels_N: NDArray, k: int = 1) -> float:
    """Share of samples with a picture of the right label among the `k` of `gallery_MD` with the highest cosine similarity.

    Pictures that look exactly alike should have one label, as no sample could tell them apart. Higher is better.
    """
    similarity_NM = cosine_similarity(fake_ND, gallery_MD)
    k = min(k, len(gallery_MD))
    nearest_NK = np.argpartition(-similarity_NM, k - 1, axis=1)[:, :k]
    return float((gallery_labels_M[nearest_NK] == labels_N[:, None]).any(axis=1).mean())


def neighbour_distance_ratio(fake_ND: Matrix, train_MD: Matrix) -> NDArray[np.float64]:
    """For each sample the distance to its nearest training picture, divided by that to the second nearest, in [0, 1].

    0 says: equal to one training picture and to no other. `train_MD` holds distinct pictures, at least two.
    """
    distances_N2 = np.partition(euclidean_distances(fake_ND.astype(np.float64), train_MD.astype(np.float64)), 1, axis=1)[:, :2]
    nearest_N, second_N = distances_N2.T
    return np.divide(nearest_N, second_N, out=np.ones_like(nearest_N), where=second_N > 0)


def copy_ratio(fake_ND: Matrix, train_MD: Matrix) -> float:
    """Share of samples whose :func:`neighbour_distance_ratio` is below 1/3: copies of one training picture.

    The criterion of Yoon et al. (ICML 2023 workshop, "Diffusion probabilistic models generalize when they fail to memorize")
    and Gu et al. 2310.02664.
    """
    return float((neighbour_distance_ratio(fake_ND, train_MD) < COPY_THRESHOLD).mean())
