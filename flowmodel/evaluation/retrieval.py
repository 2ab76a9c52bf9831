"""Whether a picture shows what was asked for: the prompted icon found again among the real ones. Pure functions on features.

Shape suffixes: N samples, M candidates, D feature width, K neighbours.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics.pairwise import cosine_similarity

Matrix = NDArray[np.floating]


def found(
    query_ND: Matrix,
    gallery_MD: Matrix,
    gallery_labels_M: NDArray,
    labels_N: NDArray,
    k: int = 1,
    own_rows_N: NDArray[np.integer] | None = None,
    allowed_NM: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """For each query: is one of the `k` candidates with the highest cosine similarity of the right label?

    Candidates that nobody could tell apart should have one label. `own_rows_N` says which candidate is the query itself, where it
    is among them: that one doesn't count. Nor do those where `allowed_NM` is False.
    """
    similarity_NM = cosine_similarity(query_ND, gallery_MD)
    if own_rows_N is not None:
        similarity_NM[np.arange(len(query_ND)), own_rows_N] = -np.inf
    if allowed_NM is not None:
        similarity_NM[~allowed_NM] = -np.inf
    k = min(k, len(gallery_MD))
    nearest_NK = np.argpartition(-similarity_NM, k - 1, axis=1)[:, :k]
    return (gallery_labels_M[nearest_NK] == labels_N[:, None]).any(axis=1)
