"""Real features of real icons."""

import numpy as np
import pytest
import torch

from flowmodel import extras
from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.features import LAYOUT_WIDTH, SEMANTIC_WIDTH, cached_features, load_extractor
from flowmodel.evaluation.metrics.retrieval import ranks


@pytest.fixture(scope="module")
def some_icons(prepared) -> torch.Tensor:
    return prepared.dataset.rgba_N4HW[::80]


@pytest.fixture(scope="module")
def some_features(extractor, some_icons):
    return extractor(some_icons)


def test_features_are_finite_and_differ(some_features, some_icons):
    assert some_features.semantic_ND.shape == (len(some_icons), SEMANTIC_WIDTH)
    assert some_features.layout_ND.shape == (len(some_icons), LAYOUT_WIDTH)
    for matrix in (some_features.semantic_ND, some_features.layout_ND):
        assert matrix.dtype == np.float32 and np.isfinite(matrix).all()
        assert len(np.unique(matrix, axis=0)) == len(some_icons)


def test_features_do_not_depend_on_the_batch(extractor, some_icons, some_features):
    alone, among_others = extractor(some_icons[3:5]), some_features[3:5]
    np.testing.assert_allclose(alone.semantic_ND, among_others.semantic_ND, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(alone.layout_ND, among_others.layout_ND, rtol=1e-3, atol=1e-3)
    assert extractor(some_icons[:0]).semantic_ND.shape == (0, SEMANTIC_WIDTH)


def test_a_slightly_noisy_icon_is_nearest_to_itself(extractor, some_icons, some_features):
    noise = torch.randint(0, 8, some_icons.shape, generator=torch.Generator().manual_seed(0))
    rows = np.arange(len(some_icons))
    spoilt = (some_icons.int() + noise).clamp(0, 255).to(torch.uint8)
    assert (ranks(extractor(spoilt).layout_ND, some_features.layout_ND, rows, rows) < 1).mean() > 0.9


def test_a_white_disc_is_not_a_hole(extractor):
    white, clear = torch.full((1, 4, 16, 16), 255, dtype=torch.uint8), torch.zeros(1, 4, 16, 16, dtype=torch.uint8)
    assert np.abs(extractor(white).semantic_ND - extractor(clear).semantic_ND).max() > 0.1


def test_the_cache_is_used_for_the_same_content_only(extractor, some_icons, tmp_path):
    few = some_icons[:2]
    first = cached_features("1" * 64, few, extractor, tmp_path)
    again = cached_features("1" * 64, few[:0], extractor, tmp_path)  # nothing to compute from
    np.testing.assert_array_equal(first.semantic_ND, again.semantic_ND)
    np.testing.assert_array_equal(first.layout_ND, again.layout_ND)
    assert len(cached_features("2" * 64, few[:1], extractor, tmp_path)) == 1


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(FlowmodelError, match=r"pip install 'flowmodel\[evaluation\]'"):
        load_extractor()
