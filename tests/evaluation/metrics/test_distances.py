"""Distances of sets with known results, compared with other libraries on the same matrices."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from flowmodel.evaluation.metrics.distances import Products, fd, fd_infinity, kid, squared_mmd
from flowmodel.text.torchvision_shim import let_torchvision_import

WIDTH = 16


def _cloud(count: int, center: float = 0.0, seed: int = 0, width: int = WIDTH) -> np.ndarray:
    return np.random.default_rng([seed, count]).normal(center, 1.0, (count, width)).astype(np.float32)


def test_squared_mmd_is_the_textbook_double_sum():
    x, y = _cloud(7), _cloud(5, 0.3)

    def k(a, b):
        return (float(a @ b) / WIDTH + 1) ** 3

    within_x = sum(k(x[i], x[j]) for i in range(7) for j in range(7) if i != j) / (7 * 6)
    within_y = sum(k(y[i], y[j]) for i in range(5) for j in range(5) if i != j) / (5 * 4)
    between = sum(k(a, b) for a in x for b in y) / (7 * 5)
    assert squared_mmd(Products.of(x, y)) == pytest.approx(within_x + within_y - 2 * between, rel=1e-5)


@pytest.mark.parametrize("width", [16, 300])
@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_kid_is_that_of_torch_fidelity_and_torchmetrics(shift, width):
    let_torchvision_import()
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torchmetrics.image.kid import poly_mmd

    x, y = _cloud(80, width=width), _cloud(80, shift, seed=1, width=width)
    ours = kid(Products.of(x, y)).value
    fidelity = kid_features_to_metric(torch.from_numpy(y), torch.from_numpy(x), kid_subsets=1, kid_subset_size=80, verbose=False)
    assert ours == pytest.approx(fidelity["kernel_inception_distance_mean"], abs=1e-4)
    assert ours == pytest.approx(poly_mmd(torch.from_numpy(x), torch.from_numpy(y)).item(), abs=1e-4)


@pytest.mark.parametrize("width", [16, 300])  # more images than features, and fewer
@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_fd_is_that_of_torch_fidelity(shift, width):
    let_torchvision_import()
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    x, y = _cloud(80, width=width), 1.5 * _cloud(120, shift, seed=1, width=width)
    statistics = [fid_features_to_statistics(torch.from_numpy(features)) for features in (x, y)]
    theirs = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert fd(Products.of(x, y)) == pytest.approx(theirs, rel=1e-4, abs=1e-4)


def test_fd_is_the_formula_with_a_matrix_root():
    x, y = _cloud(60), 0.5 * _cloud(90, 0.2)
    means, covariances = [m.mean(axis=0, dtype=float) for m in (x, y)], [np.cov(m.astype(float), rowvar=False) for m in (x, y)]
    overlap = np.trace(sqrtm(covariances[0] @ covariances[1])).real
    expected = ((means[0] - means[1]) ** 2).sum() + sum(np.trace(c) for c in covariances) - 2 * overlap
    assert fd(Products.of(x, y)) == pytest.approx(expected, rel=1e-6)


def test_equal_sets_have_no_distance():
    x = _cloud(50)
    products = Products.of(x, x[::-1])
    assert fd(products) == pytest.approx(0, abs=1e-9)
    # Unbiased, so below 0: equal sets are closer than two sets of one distribution should be.
    assert kid(products).value < 0


def test_distances_grow_with_the_share_that_is_of_another_kind():
    real, same, other = _cloud(200), _cloud(200, seed=1), _cloud(200, 2.0, seed=2)
    for distance in (lambda p: kid(p).value, fd, fd_infinity):
        none, half, all_ = (distance(Products.of(real, np.concatenate([same[n:], other[:n]]))) for n in (0, 100, 200))
        assert none < half < all_


def test_kid_is_about_zero_for_one_distribution_and_its_interval_says_so():
    for seed in range(5):
        estimate = kid(Products.of(_cloud(200, seed=2 * seed), _cloud(200, seed=2 * seed + 1)))
        assert estimate.low < 0 < estimate.high and abs(estimate.value) < 0.05


def test_the_interval_of_kid_holds_the_truth_as_often_as_it_says():
    truth = kid(Products.of(_cloud(3000, seed=1000), _cloud(3000, 0.5, seed=1001)), subsets=2).value
    estimates = [kid(Products.of(_cloud(60, seed=2 * i), _cloud(60, 0.5, seed=2 * i + 1))) for i in range(100)]
    assert 0.88 <= np.mean([e.low <= truth <= e.high for e in estimates]) <= 1.0
    # And it is not wider than necessary.
    deviation = np.std([e.value for e in estimates])
    assert np.mean([e.high - e.low for e in estimates]) == pytest.approx(2 * 1.96 * deviation, rel=0.4)


def test_kid_is_a_function_of_its_seed():
    products = Products.of(_cloud(50), _cloud(60))
    assert kid(products, seed=3) == kid(products, seed=3) != kid(products, seed=4)
    assert kid(products, seed=3).value == kid(products, seed=4).value


def test_fd_infinity_takes_away_most_of_the_bias():
    products = Products.of(_cloud(400, seed=1), _cloud(400, seed=2))
    assert 0 <= abs(fd_infinity(products)) < 0.25 * fd(products)


@pytest.mark.parametrize("distance", [kid, fd, fd_infinity])
def test_distances_of_two_images_are_numbers(distance):
    value = distance(Products.of(_cloud(2), _cloud(3)))
    assert np.isfinite(value.value if distance is kid else value)


def test_a_distance_of_one_image_is_refused():
    with pytest.raises(ValueError, match="at least two"):
        Products.of(_cloud(1), _cloud(5))
