"""Retrieval: the rank of the prompted icon among real icons by similarity to the sample. Pure functions on features.

Shape suffixes: N samples, M candidates, D feature width.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics.pairwise import cosine_similarity

Matrix = NDArray[np.floating]


def ranks(
    query_ND: Matrix,
    gallery_MD: Matrix,
    gallery_labels_M: NDArray,
    labels_N: NDArray,
    own_rows_N: NDArray[np.integer] | None = None,
    allowed_NM: NDArray[np.bool_] | None = None,
) -> NDArray[np.integer]:
    """For each query, the number of candidates with another label whose cosine similarity is at least that of the best one with
    the right label.

    A rank below `k` means that the right one is among the first `k`. Ties count against the query, because a query that is
    equally similar to everything has found nothing. Indistinguishable candidates should have the same label. `own_rows_N` is
    the row of the query itself among the candidates, which is ignored, as are candidates where `allowed_NM` is False. If no
    candidate with the right label is left, the rank is M.
    """
    similarity_NM = cosine_similarity(query_ND, gallery_MD)
    right_NM = gallery_labels_M == labels_N[:, None]
    counts_NM = np.ones_like(right_NM) if allowed_NM is None else allowed_NM.copy()
    if own_rows_N is not None:
        counts_NM[np.arange(len(query_ND)), own_rows_N] = False
    best_N1 = np.max(similarity_NM, axis=1, keepdims=True, initial=-np.inf, where=right_NM & counts_NM)
    before_N = np.count_nonzero((similarity_NM >= best_N1) & ~right_NM & counts_NM, axis=1)
    return np.where(np.isneginf(best_N1[:, 0]), len(gallery_MD), before_N)
