"""Retrieval with known ranks."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics.pairwise import cosine_similarity

from flowmodel.evaluation.metrics.retrieval import ranks


def test_the_right_label_has_its_place_among_the_others():
    gallery, labels = np.eye(4, dtype=np.float32), np.arange(4)
    query = np.array([[1, 0, 0, 0], [0.1, 1, 0, 0], [0, 0, 1, 0.9], [0, 0, 1, 0.9]], np.float32)
    assert ranks(query, gallery, labels, np.arange(4)).tolist() == [0, 0, 0, 1]  # the last looks more like 2
    assert ranks(np.array([[1, 0.3, 0.2, 0.1]]), gallery, labels, np.array([3])).tolist() == [3]


def test_directions_count_and_lengths_do_not():
    gallery = np.array([[1, 0], [0, 5]], np.float32)
    assert ranks(np.array([[100, 1]], np.float32), gallery, np.array([0, 1]), np.array([0])).tolist() == [0]


def test_candidates_that_look_alike_count_as_one():
    gallery = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    assert ranks(np.array([[1, 0], [0, 1]], np.float32), gallery, np.array([0, 0, 1]), np.array([0, 0])).tolist() == [0, 1]


def test_what_is_equally_similar_to_everything_has_found_nothing():
    gallery = np.eye(4, dtype=np.float32)
    assert ranks(np.zeros((1, 4), np.float32), gallery, np.arange(4), np.array([2])).tolist() == [3]


def test_nothing_is_found_by_itself():
    gallery = np.array([[1, 0], [0.9, 0.1], [0, 1]], np.float32)
    labels = np.array([0, 0, 1])
    assert ranks(gallery, gallery, labels, labels).tolist() == [0, 0, 0]
    assert ranks(gallery, gallery, labels, labels, own_rows_N=np.arange(3)).tolist() == [0, 0, 3]  # the last has no other


def test_only_what_is_allowed_is_found():
    gallery = np.array([[1, 0], [0.9, 0.1], [0, 1]], np.float32)
    query, labels, allowed = gallery[:1], np.arange(3), np.array([[False, True, True]])
    assert ranks(query, gallery, labels, np.array([0])).tolist() == [0]
    assert ranks(query, gallery, labels, np.array([1])).tolist() == [1]
    assert ranks(query, gallery, labels, np.array([1]), allowed_NM=allowed).tolist() == [0]
    assert ranks(query, gallery, labels, np.array([0]), allowed_NM=allowed).tolist() == [3]
    assert allowed.tolist() == [[False, True, True]]


@given(st.integers(2, 20), st.integers(1, 20), st.integers(0, 100))
def test_a_rank_below_k_is_a_place_among_the_k_most_similar(count, k, seed):
    random = np.random.default_rng(seed)
    query, gallery = random.normal(size=(count, 5)), random.normal(size=(count, 5))
    labels = random.integers(0, 5, size=count)
    nearest = np.argsort(-cosine_similarity(query, gallery), axis=1)[:, :k]
    among = (labels[nearest] == labels[:, None]).any(axis=1)
    assert (ranks(query, gallery, labels, labels) < k).tolist() == among.tolist()
