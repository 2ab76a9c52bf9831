"""Precision, recall, density, coverage and diversity of the samples. Pure functions on feature matrices.

Shape suffixes: N samples, M real images, D feature width.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics.pairwise import euclidean_distances

Matrix = NDArray[np.floating]

NEIGHBORS = 5


@dataclass(frozen=True)
class Coverage:
    """Attributes:
    precision: share of samples within the radius of a real image, which is the distance to its k-th real neighbor.
    recall: share of real images within the radius of a sample.
    density: number of real images whose radius contains a sample, divided by k; about 1 for a good set, and unbounded.
    coverage: share of real images with a sample within their radius.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def coverage(real_MD: Matrix, fake_ND: Matrix, k: int = NEIGHBORS) -> Coverage:
    """Precision and recall (Kynkaanniemi et al. 1904.06991), density and coverage (Naeem et al. 2002.09797).

    The results equal those of the package `prdc`, which prints, starts eight processes and has not been updated since 2020.
    Raises ValueError when a side has at most `k` images.
    """
    if min(len(real_MD), len(fake_ND)) <= k:
        raise ValueError(f"coverage by {k} neighbors needs more than {k} images on each side")
    real_MD, fake_ND = real_MD.astype(np.float64), fake_ND.astype(np.float64)
    distances_MN = euclidean_distances(real_MD, fake_ND)
    reach_of_real_M, reach_of_fake_N = _reach(real_MD, k), _reach(fake_ND, k)
    near_real_MN = distances_MN < reach_of_real_M[:, None]
    return Coverage(
        precision=float(near_real_MN.any(axis=0).mean()),
        recall=float((distances_MN < reach_of_fake_N[None, :]).any(axis=1).mean()),
        density=float(near_real_MN.sum(axis=0).mean() / k),
        coverage=float((distances_MN.min(axis=1) < reach_of_real_M).mean()),
    )


def _reach(x_ND: Matrix, k: int) -> NDArray[np.float64]:
    """Distance of each row to its k-th neighbor other than itself."""
    return np.partition(euclidean_distances(x_ND), k, axis=1)[:, k]


def vendi_score(x_ND: Matrix) -> float:
    """The Vendi score: exp of the entropy of the eigenvalues of the cosine similarities divided by N (Friedman and Dieng
    2210.02410). It is 1 if all images are equal, and N if all are orthogonal.

    It grows with N, so it should be compared with the score of as many real images.
    """
    unit_ND = x_ND.astype(np.float64)
    unit_ND /= np.maximum(np.linalg.norm(unit_ND, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    eigenvalues_N = np.linalg.eigvalsh(unit_ND @ unit_ND.T / len(unit_ND))
    shares = eigenvalues_N[eigenvalues_N > np.finfo(np.float64).eps]
    return float(np.exp(-(shares * np.log(shares)).sum()))
