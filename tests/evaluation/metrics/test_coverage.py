"""Coverage of sets with known results, compared with the package `prdc` on the same matrices."""

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prdc import compute_prdc

from flowmodel.evaluation.metrics.coverage import NEIGHBORS, coverage, vendi_score


def _cloud(count: int, center: float = 0.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, count]).normal(center, 1.0, (count, 8)).astype(np.float32)


@pytest.mark.parametrize(("shift", "k"), [(0.0, 5), (0.5, 5), (0.5, 3), (4.0, 5)])
def test_coverage_is_that_of_the_package_prdc(shift, k, capsys):
    real, fake = _cloud(70), _cloud(50, shift, seed=1)
    assert asdict(coverage(real, fake, k)) == pytest.approx(compute_prdc(real, fake, nearest_k=k), abs=1e-4)
    capsys.readouterr()  # it prints


def test_equal_sets_cover_each_other_and_distant_ones_do_not():
    real = _cloud(60)
    same, apart = coverage(real, real[::-1]), coverage(real, real + 100)
    assert same.precision == same.recall == same.coverage == 1.0 and same.density == pytest.approx(1, abs=0.05)
    assert asdict(apart) == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}


def test_of_a_set_that_is_half_copied_half_is_precise_and_half_is_covered():
    real = np.concatenate([_cloud(50), _cloud(50, 50.0)])  # two kinds of images
    only_one = np.concatenate([real[:50], np.full((50, 8), 1000.0) + _cloud(50)])
    found = coverage(real, only_one)
    assert (found.precision, found.recall, found.coverage) == (0.5, 0.5, 0.5)


@given(st.integers(NEIGHBORS + 1, 30), st.integers(NEIGHBORS + 1, 30), st.floats(0.1, 100), st.integers(0, 50))
def test_neither_order_nor_scale_matters(m, n, scale, seed):
    real, fake = _cloud(m, seed=seed), _cloud(n, 1.0, seed=seed + 1)
    shuffled = np.random.default_rng(seed).permutation(n)
    assert asdict(coverage(real, fake)) == pytest.approx(asdict(coverage(scale * real, (scale * fake)[shuffled])), abs=0.05)


def test_too_few_images_are_refused():
    with pytest.raises(ValueError, match="more than 5 images"):
        coverage(_cloud(5), _cloud(50))


def test_the_vendi_score_counts_different_images():
    different = np.eye(12)
    assert vendi_score(different) == pytest.approx(12)
    assert vendi_score(np.repeat(different[:3], 4, axis=0)) == pytest.approx(3)
    assert vendi_score(np.ones((7, 5))) == pytest.approx(1)


@given(st.integers(1, 30), st.integers(0, 100))
def test_the_vendi_score_lies_between_one_and_all(count, seed):
    x = _cloud(count, seed=seed)
    assert 1 - 1e-9 <= vendi_score(x) <= count + 1e-9
    assert vendi_score(np.concatenate([x, x])) == pytest.approx(vendi_score(x))
