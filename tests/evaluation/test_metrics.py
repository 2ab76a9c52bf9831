"""Metrics on matrices whose answer is known."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import polynomial_kernel

from flowmodel.evaluation.metrics import copy_ratio, kid, neighbour_distance_ratio, retrieval, squared_mmd

random = np.random.default_rng(0)
WIDTH = 16


def _cloud(count: int, centre: float = 0.0) -> np.ndarray:
    return random.normal(centre, 1.0, (count, WIDTH)).astype(np.float32)


def test_squared_mmd_is_the_textbook_double_sum():
    x, y = _cloud(7), _cloud(5, 0.3)

    def k(a, b):
        return (float(a @ b) / WIDTH + 1) ** 3

    within_x = sum(k(x[i], x[j]) for i in range(7) for j in range(7) if i != j) / (7 * 6)
    within_y = sum(k(y[i], y[j]) for i in range(5) for j in range(5) if i != j) / (5 * 4)
    between = sum(k(a, b) for a in x for b in y) / (7 * 5)
    assert squared_mmd(x, y) == pytest.approx(within_x + within_y - 2 * between, rel=1e-5)


def test_kid_of_one_subset_that_is_everything_is_the_estimate_itself():
    real, fake = _cloud(2), _cloud(2, 1.0)
    cross, a, b = (polynomial_kernel(u, v, degree=3) for u, v in ((real, fake), (real, real), (fake, fake)))
    assert kid(real, fake, subsets=1)[0] == pytest.approx(a[0, 1] + b[0, 1] - 2 * cross.mean(), rel=1e-5)


def test_kid_is_about_zero_for_one_distribution_and_grows_with_the_distance():
    same = kid(_cloud(400), _cloud(400))
    near, far = (kid(_cloud(400), _cloud(400, shift))[0] for shift in (0.3, 1.0))
    assert abs(same[0]) < 0.02 < near < far
    assert same[1] > 0


def test_kid_has_a_deviation_for_small_sets_too():
    assert kid(_cloud(10), _cloud(12))[1] > 1e-4


def test_kid_is_a_function_of_its_seed():
    real, fake = _cloud(50), _cloud(50)
    assert kid(real, fake, seed=3) == kid(real, fake, seed=3) != kid(real, fake, seed=4)


def test_kid_of_one_picture_is_refused():
    with pytest.raises(ValueError, match="at least two"):
        kid(_cloud(1), _cloud(5))


def test_retrieval_counts_right_labels_among_the_nearest():
    gallery = np.eye(4, dtype=np.float32)
    labels = np.arange(4)
    fake = np.array([[1, 0, 0, 0], [0.1, 1, 0, 0], [0, 0, 1, 0.9], [0, 0, 1, 0.9]], np.float32)
    assert retrieval(fake, gallery, labels, np.array([0, 1, 2, 3]), k=1) == 0.75  # the last one looks more like 2
    assert retrieval(fake, gallery, labels, np.array([0, 1, 2, 3]), k=2) == 1.0
    assert retrieval(fake, gallery, labels, np.array([1, 2, 3, 0]), k=100) == 1.0


def test_retrieval_looks_at_directions_not_at_lengths():
    gallery = np.array([[1, 0], [0, 5]], np.float32)
    assert retrieval(np.array([[100, 1]], np.float32), gallery, np.array([0, 1]), np.array([0])) == 1.0


def test_pictures_that_look_alike_count_as_one():
    gallery = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    assert retrieval(np.array([[1, 0], [1, 0]], np.float32), gallery, np.array([0, 0, 1]), np.array([0, 0])) == 1.0


def test_neighbour_distance_ratio_of_known_triangles():
    train = np.array([[0, 0], [4, 0]], np.float32)
    fake = np.array([[0, 0], [1, 0], [2, 0]], np.float32)
    np.testing.assert_allclose(neighbour_distance_ratio(fake, train), [0, 1 / 3, 1], atol=1e-6)


def test_copy_ratio_finds_copies_and_only_copies():
    train, others = _cloud(60), _cloud(60)
    assert copy_ratio(train + 0.01 * _cloud(60), train) == 1.0
    assert copy_ratio(others, train) == 0.0
    assert copy_ratio(np.concatenate([train[:15], others[:45]]), train) == 0.25
