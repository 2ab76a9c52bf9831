"""Intervals of differences between two models, on numbers with known distributions."""

import numpy as np
import pytest

from flowmodel.evaluation.metrics.distances import Products, squared_mmd
from flowmodel.release.intervals import interval, kid_terms, mean_interval, mean_of_pairs


def test_two_equal_models_differ_by_nothing():
    assert mean_interval(np.zeros(20)) == (0.0, 0.0)


def test_the_interval_of_a_mean_is_that_of_its_standard_error():
    random = np.random.default_rng(0)
    difference_N = random.normal(0.3, 1.0, 400)
    low, high = mean_interval(difference_N)
    error = difference_N.std(ddof=1) / 20
    assert low == pytest.approx(difference_N.mean() - 1.96 * error, abs=0.02)
    assert high == pytest.approx(difference_N.mean() + 1.96 * error, abs=0.02)


def test_the_interval_covers_the_true_value_as_often_as_stated():
    random = np.random.default_rng(1)
    held = [low <= 0.5 <= high for low, high in (mean_interval(random.normal(0.5, 1.0, 40)) for _ in range(100))]
    assert 0.85 <= np.mean(held) <= 1.0


def test_the_same_scores_give_the_same_interval():
    random = np.random.default_rng(0)
    difference_N = random.normal(size=30)
    assert mean_interval(difference_N) == mean_interval(difference_N)


def test_the_mean_of_the_terms_is_the_kid_without_each_icon_s_own_pair():
    random = np.random.default_rng(0)
    real_ND, fake_ND = random.normal(size=(50, 8)), random.normal(0.5, 1.0, size=(50, 8))
    value = mean_of_pairs(kid_terms(real_ND, fake_ND), np.ones((1, 50)))[0]
    # Drawn independently of its icon, an image's own pair is one like any other.
    assert value == pytest.approx(squared_mmd(Products.of(real_ND, fake_ND)), abs=0.2)
    assert value > 0.5
    same_ND = random.normal(size=(50, 8))
    assert abs(mean_of_pairs(kid_terms(real_ND, same_ND), np.ones((1, 50)))[0]) < 0.3


def test_a_repeated_icon_in_a_resample_does_not_pair_with_itself():
    random = np.random.default_rng(0)
    terms_NN = random.normal(size=(6, 6))
    terms_NN += terms_NN.T
    np.fill_diagonal(terms_NN, 0.0)
    drawn = np.array([0, 0, 0, 3, 4, 4])
    pairs = [terms_NN[i, j] for a, i in enumerate(drawn) for b, j in enumerate(drawn) if i != j and a != b]
    weights_RN = np.bincount(drawn, minlength=6)[None].astype(float)
    assert mean_of_pairs(terms_NN, weights_RN)[0] == pytest.approx(np.mean(pairs))


def test_pairing_makes_the_interval_of_a_kid_difference_narrow():
    random = np.random.default_rng(0)
    real_ND = random.normal(size=(60, 8))
    first_ND = random.normal(0.5, 1.0, size=(60, 8))
    second_ND = first_ND + random.normal(0.0, 0.05, size=(60, 8))  # nearly the same drawings
    alone, other = kid_terms(real_ND, first_ND), kid_terms(real_ND, second_ND)
    low, high = interval(60, lambda weights_RN: mean_of_pairs(alone - other, weights_RN))
    alone_low, alone_high = interval(60, lambda weights_RN: mean_of_pairs(alone, weights_RN))
    assert high - low < (alone_high - alone_low) / 3
