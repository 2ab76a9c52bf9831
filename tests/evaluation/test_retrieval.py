"""Finding things whose place is known."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flowmodel.evaluation.retrieval import found


def test_right_labels_among_the_nearest_are_found():
    gallery, labels = np.eye(4, dtype=np.float32), np.arange(4)
    query = np.array([[1, 0, 0, 0], [0.1, 1, 0, 0], [0, 0, 1, 0.9], [0, 0, 1, 0.9]], np.float32)
    assert found(query, gallery, labels, np.arange(4), k=1).tolist() == [True, True, True, False]  # looks more like 2
    assert found(query, gallery, labels, np.arange(4), k=2).all()
    assert found(query, gallery, labels, np.array([1, 2, 3, 0]), k=100).all()


def test_directions_count_and_lengths_do_not():
    gallery = np.array([[1, 0], [0, 5]], np.float32)
    assert found(np.array([[100, 1]], np.float32), gallery, np.array([0, 1]), np.array([0])).all()


def test_candidates_that_look_alike_count_as_one():
    gallery = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    assert found(np.array([[1, 0], [1, 0]], np.float32), gallery, np.array([0, 0, 1]), np.array([0, 0])).all()


def test_nothing_is_found_by_itself():
    gallery = np.array([[1, 0], [0.9, 0.1], [0, 1]], np.float32)
    labels = np.array([0, 0, 1])
    assert found(gallery, gallery, labels, labels).all()
    assert found(gallery, gallery, labels, labels, own_rows_N=np.arange(3)).tolist() == [True, True, False]


def test_only_what_is_allowed_is_found():
    gallery = np.array([[1, 0], [0.9, 0.1], [0, 1]], np.float32)
    query, labels = gallery[:1], np.arange(3)
    assert found(query, gallery, labels, np.array([0])).all() and not found(query, gallery, labels, np.array([1])).any()
    assert found(query, gallery, labels, np.array([1]), allowed_NM=np.array([[False, True, True]])).all()


@given(st.integers(2, 20), st.integers(0, 100))
def test_more_candidates_looked_at_never_find_less(count, seed):
    random = np.random.default_rng(seed)
    query, gallery = random.normal(size=(count, 5)), random.normal(size=(count, 5))
    hits = [found(query, gallery, np.arange(count), np.arange(count), k).mean() for k in range(1, count + 1)]
    assert hits == sorted(hits) and hits[-1] == 1.0
