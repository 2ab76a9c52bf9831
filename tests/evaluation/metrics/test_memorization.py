"""Known copies, and real icons that are not copies."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flowmodel.evaluation.caption_probe import load_caption_probe
from flowmodel.evaluation.features import load_extractor
from flowmodel.evaluation.metrics.memorization import FLAG_RATE, Neighbors, calibrate, is_authentic, is_copy, neighbors
from flowmodel.evaluation.scoring import Images, Scorer, means


def _cloud(count: int, seed: int = 0, width: int = 16) -> np.ndarray:
    return np.random.default_rng([seed, count]).normal(size=(count, width)).astype(np.float32)


def _among(train: np.ndarray) -> Neighbors:
    return neighbors(train, train, np.arange(len(train)))


def test_neighbors_of_known_triangles():
    train, fake = np.array([[0, 0], [4, 0]], np.float32), np.array([[0, 0], [1, 0], [2, 0], [5, 0]], np.float32)
    found = neighbors(fake, train)
    assert found.rows_N[[0, 1, 3]].tolist() == [0, 0, 1]
    np.testing.assert_allclose(found.nearest_N, [0, 1, 2, 1], atol=1e-6)
    np.testing.assert_allclose(found.ratio_N, [0, 1 / 3, 1, 1 / 5], atol=1e-6)


def test_a_training_image_is_not_a_neighbor_of_itself():
    train = np.array([[0, 0], [1, 0], [3, 0]], np.float32)
    found = neighbors(train, train, own_rows_N=np.array([0, 1, -1]))
    assert found.rows_N.tolist() == [1, 0, 2]
    np.testing.assert_allclose(found.ratio_N, [1 / 3, 1 / 2, 0])


def test_too_few_training_images_are_refused():
    with pytest.raises(ValueError, match="at least two"):
        neighbors(_cloud(3), _cloud(1))


@given(st.integers(0, 60), st.integers(0, 50))
def test_exactly_the_copies_are_copies(copied, seed):
    train, others = _cloud(60, seed), _cloud(60, seed + 1000)
    fake = np.concatenate([train[:copied] + 0.01 * others[:copied], others[copied:]])
    assert is_copy(neighbors(fake, train)).tolist() == [number < copied for number in range(60)]


def test_what_is_nearer_to_a_training_image_than_the_next_one_is_not_authentic():
    train = np.array([[0, 0], [2, 0], [10, 0]], np.float32)
    fake = np.array([[0, 1], [0, 3], [10, 7], [10, 9]], np.float32)
    assert is_authentic(neighbors(fake, train), _among(train)).tolist() == [False, True, False, True]


def test_copies_are_not_authentic_and_strangers_are():
    train = _cloud(50)
    assert not is_authentic(neighbors(train, train), _among(train)).any()
    assert is_authentic(neighbors(train + 100, train), _among(train)).all()


@given(st.integers(40, 200), st.integers(0, 50))
def test_a_threshold_flags_few_of_what_it_was_calibrated_on(count, seed):
    train, held_out = _cloud(80, seed), _cloud(count, seed + 1)
    found = neighbors(held_out, train), neighbors(held_out[:, ::2], train[:, ::2])
    threshold = calibrate(*found)
    assert threshold.rate == threshold.flags(*found).mean() <= FLAG_RATE
    assert threshold.images == count


def test_too_few_images_calibrate_nothing():
    found = neighbors(_cloud(39), _cloud(80))
    assert calibrate(found, found) is None


@pytest.fixture(scope="module")
def scorer(real, prepared):
    probe = load_caption_probe(prepared.dataset, real, load_extractor(), prepared.store.root / "features")
    return Scorer(real, real.rows(real.of_split("train")[:300]), probe)


def _shares(scorer, rgba_N4HW) -> dict[str, float]:
    return means(scorer.memorization(Images(rgba_N4HW, load_extractor()(rgba_N4HW))))


# Rough texture changes copies of 16 pixels so much that AuthPct counts many as new; the calibrated rate does not.
@pytest.mark.parametrize(("spoil", "most_authentic"), [("nothing", 0), ("rough texture", 0.5), ("blur", 0.2)])
def test_copies_are_flagged_however_they_are_spoilt(scorer, real, spoil, most_authentic):
    copies = real.rgba_M4HW[real.rows(real.of_split("train")[:300:6])]
    if spoil == "rough texture":
        noise = torch.randint(-12, 13, copies.shape, generator=torch.Generator().manual_seed(0))
        copies = (copies.int() + noise).clamp(0, 255).to(torch.uint8)
    if spoil == "blur":
        blurred = torch.nn.functional.avg_pool2d(copies.float(), 3, stride=1, padding=1)
        copies = (0.5 * blurred + 0.5 * copies).round().to(torch.uint8)
    shares = _shares(scorer, copies)
    assert shares["near_copy_rate"] > 0.9 and shares["authentic_rate"] <= most_authentic
    if spoil == "nothing":
        assert (
            shares["near_copy_rate"] == shares["copy_rate"] == shares["copy_rate_pixels"] == 1.0 and shares["authentic_rate"] == 0
        )


def test_held_out_real_icons_are_not_flagged(scorer, real):
    assert scorer.threshold.rate <= FLAG_RATE
    unseen = _shares(scorer, real.rgba_M4HW[real.rows(real.of_split("unseen_concept"))])
    # The threshold was calibrated on other icons, so slightly more may be flagged by chance.
    assert unseen["near_copy_rate"] <= 2 * FLAG_RATE and unseen["copy_rate"] < FLAG_RATE and unseen["authentic_rate"] > 0.4


def test_half_copied_is_half_flagged(scorer, real):
    copies = real.rgba_M4HW[real.rows(real.of_split("train")[:300:12])]
    others = real.rgba_M4HW[real.rows(real.of_split("unseen_concept")[: len(copies)])]
    assert _shares(scorer, torch.cat([copies, others]))["near_copy_rate"] == pytest.approx(0.5, abs=0.1)
