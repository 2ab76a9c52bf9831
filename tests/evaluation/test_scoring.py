"""Scores of sets of images with known results."""

import dataclasses

import numpy as np
import pytest
import torch

from flowmodel.evaluation.features import Features
from flowmodel.evaluation.metrics.texture import texture
from flowmodel.evaluation.scoring import Images, Scorer, fidelity, means


@pytest.fixture(scope="module")
def rows(real):
    return real.rows(real.of_split("train")[::25][:60])


@pytest.fixture(scope="module")
def scorer(real, rows, probe) -> Scorer:
    return Scorer(real, rows, probe)


def _real_images(real, rows) -> Images:
    return Images(real.rgba_M4HW[rows], real.features[rows])


def test_the_icons_themselves_are_perfect_copies(scorer, real, rows):
    scores, each = scorer.scores(_real_images(real, rows), rows)
    ones = (
        "retrieval_top1_split",
        "retrieval_top1_source",
        "retrieval_top1_all",
        "retrieval_top5_all",
        "alpha_iou",
        "copy_rate",
        "copy_rate_pixels",
        "near_copy_rate",
    )
    assert [scores[name] for name in (*ones, "precision", "recall", "coverage")] == [1.0] * 11
    assert scores["authentic_rate"] == scores["alpha_error"] == 0
    assert max(scores["neighbor_ratio"], scores["neighbor_ratio_pixels"]) < 1e-6
    assert scores["kid"] < 0 and scores["fd"] == pytest.approx(0, abs=1e-6)
    assert all(len(values) == len(rows) for values in each.values())


def test_texture_is_that_of_the_images_and_of_transparency_only_where_the_model_draws_it(scorer, real, rows, probe):
    images = _real_images(real, rows)
    scores, _ = scorer.scores(images, rows)
    assert texture(images.rgba_N4HW).items() <= scores.items()
    opaque = Scorer(dataclasses.replace(real, color="rgb"), rows, probe)
    assert "half_transparent" not in opaque.scores(images, rows)[0]


def test_icons_in_the_wrong_place_are_as_near_as_a_set_and_never_found(scorer, real, rows):
    right, _ = scorer.scores(_real_images(real, rows), rows)
    wrong, _ = scorer.scores(_real_images(real, np.roll(rows, 1)), rows)
    assert wrong["kid"] == pytest.approx(right["kid"]) and wrong["copy_rate"] == 1
    assert wrong["retrieval_top1_split"] < 0.1 and wrong["caption_probe_top1"] < 0.1 and wrong["alpha_iou"] < 0.95


def test_among_its_source_an_image_is_only_mistaken_for_icons_of_that_source(real, rows, probe):
    sources = np.array(real.sources, dtype=object)
    sources[rows[:20]], sources[rows[20:40]] = "first", "second"
    scorer = Scorer(dataclasses.replace(real, sources=tuple(sources)), rows, probe)
    right = np.arange(20)
    wrong = np.roll(right, 1)
    of_own = scorer.alignment(_real_images(real, rows[:20]), rows[:20])["retrieval_top1_source"]
    of_others = scorer.alignment(_real_images(real, rows[20:40]), rows[:20])
    mixed_up = scorer.alignment(_real_images(real, rows[wrong]), rows[right])["retrieval_top1_source"]
    assert of_own.all() and mixed_up.mean() < 0.1
    assert of_others["retrieval_top1_all"].mean() <= of_others["retrieval_top1_source"].mean()


def test_half_copied_and_half_noise_scores_half(scorer, real, rows, extractor):
    noise = torch.randint(0, 256, (30, 4, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    noise[:, :3] = torch.minimum(noise[:, :3], noise[:, 3:])
    rgba_N4HW = torch.cat([real.rgba_M4HW[rows[:30]], noise])
    scores, _ = scorer.scores(Images(rgba_N4HW, extractor(rgba_N4HW)), rows)
    assert scores["copy_rate"] == scores["copy_rate_pixels"] == pytest.approx(0.5, abs=0.02)
    assert scores["retrieval_top1_all"] == pytest.approx(0.5, abs=0.05) and scores["precision"] == pytest.approx(0.5, abs=0.1)
    assert 0.4 <= scores["authentic_rate"] <= 0.5


def test_an_icon_is_never_found_by_itself(scorer, real, rows):
    themselves = dataclasses.replace(_real_images(real, rows), own_rows=rows)
    each = scorer.memorization(themselves)
    assert each["copy_rate"].mean() < 0.2 and each["neighbor_ratio"].min() > 0


def test_images_are_chosen_with_their_features_and_rows(real, rows):
    chosen = dataclasses.replace(_real_images(real, rows), own_rows=rows)[np.array([4, 2])]
    assert len(chosen) == 2 and chosen.own_rows.tolist() == rows[[4, 2]].tolist()
    np.testing.assert_array_equal(chosen.features.layout_ND, real.features.layout_ND[rows[[4, 2]]])


def test_small_sets_have_only_the_scores_that_they_can_have():
    def cloud(count):
        x = np.random.default_rng(count).normal(size=(count, 8)).astype(np.float32)
        return Features(x, x)

    assert fidelity(cloud(1), cloud(9)) == {}
    assert "kid" in fidelity(cloud(3), cloud(3)) and "precision" not in fidelity(cloud(3), cloud(3))
    assert means({"a": np.array([0.0, 1.0]), "b": np.array([])}) == {"a": 0.5}


def test_with_hardly_any_training_icons_nothing_is_stated_of_copies(real, rows, probe):
    scores, _ = Scorer(real, rows[:2], probe).scores(_real_images(real, rows), rows)
    assert "copy_rate" not in scores and "retrieval_top1_all" in scores
