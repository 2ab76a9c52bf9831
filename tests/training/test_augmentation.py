"""Augmentation: images are moved, and the label describes the move."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmodel.nets import TextCondition
from flowmodel.recipes.schema import AugmentationConfig
from flowmodel.training.augmentation import _move, augment

GROUND = {"rgba": -1.0, "rgb": 1.0, "grayscale": 1.0}
CHANNELS = {"rgba": 4, "rgb": 3, "grayscale": 1}


def _text(batch: int) -> TextCondition:
    return TextCondition.from_features(torch.zeros(batch, 5), [torch.zeros(2, 5)] * batch)


def _images(batch: int, channels: int = 4) -> torch.Tensor:
    return torch.rand(batch, channels, 16, 16, generator=torch.Generator().manual_seed(7)) * 2 - 1


def _augmented(x_BCHW: torch.Tensor, config: AugmentationConfig, color="rgba", seed: int = 0):
    moved_BCHW, text = augment(x_BCHW, _text(len(x_BCHW)), config, color, torch.Generator().manual_seed(seed))
    return moved_BCHW, text.augmentation_BA


def test_a_label_of_zeros_means_an_untouched_image_and_any_other_a_moved_one():
    x_BCHW = _images(400)
    moved_BCHW, label_BA = _augmented(x_BCHW, AugmentationConfig(probability=0.3))
    is_zero_B = (label_BA == 0).all(dim=1)
    assert torch.equal(moved_BCHW[is_zero_B], x_BCHW[is_zero_B])
    assert not (moved_BCHW[~is_zero_B] == x_BCHW[~is_zero_B]).flatten(1).all(dim=1).any()
    assert 0.23 < (~is_zero_B).float().mean() < 0.37


def test_labels_are_as_wide_as_the_recipe_says():
    config = AugmentationConfig(probability=1.0, scale=0.4, aspect=0.2, translation=0.1)
    _, label_BA = _augmented(_images(4000, channels=1), config, "grayscale")
    assert torch.allclose(label_BA.std(dim=0), torch.tensor([0.4, 0.2, 0.1, 0.1]), rtol=0.05)
    assert label_BA.mean(dim=0).abs().max() < 0.02


def test_switched_off_it_leaves_everything_as_it_is():
    x_BCHW = _images(8)
    moved_BCHW, label_BA = _augmented(x_BCHW, AugmentationConfig(probability=0.0))
    assert torch.equal(moved_BCHW, x_BCHW) and torch.equal(label_BA, torch.zeros(8, 4))


def test_what_is_moved_depends_on_the_generator_alone():
    config = AugmentationConfig(probability=0.5)
    first, again, other = (_augmented(_images(16), config, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[1], other[1])


@pytest.mark.parametrize("color", ["rgba", "rgb", "grayscale"])
def test_what_comes_into_the_image_is_ground(color):
    blank_BCHW = torch.full((32, CHANNELS[color], 16, 16), GROUND[color])
    moved_BCHW, _ = _augmented(blank_BCHW, AugmentationConfig(probability=1.0, translation=0.5, scale=1.0), color)
    assert torch.equal(moved_BCHW, blank_BCHW)
    # A full image at half size, or shifted by half: the rest is background.
    full_BCHW = torch.full((2, CHANNELS[color], 16, 16), 0.5)
    moves_BA = torch.tensor([[-1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.5, 0.0]])
    small_CHW, right_CHW = _move(full_BCHW, moves_BA, GROUND[color])
    assert (small_CHW[:, :3] == GROUND[color]).all() and torch.allclose(small_CHW[:, 5:11, 5:11], torch.tensor(0.5))
    assert (right_CHW[:, :, :8] == GROUND[color]).all() and torch.allclose(right_CHW[:, :, 8:], torch.tensor(0.5))


@given(right=st.integers(-4, 4), down=st.integers(-4, 4))
@settings(max_examples=30, deadline=None)
def test_a_shift_of_whole_pixels_moves_every_pixel_by_them(right, down):
    x_BCHW = torch.full((1, 4, 16, 16), -1.0)
    x_BCHW[..., 5:11, 5:11] = _images(1)[..., 5:11, 5:11]
    moved_BCHW = _move(x_BCHW, torch.tensor([[0.0, 0.0, right / 16, down / 16]]), ground=-1.0)
    assert torch.allclose(moved_BCHW, x_BCHW.roll((down, right), dims=(2, 3)), atol=1e-5)


def test_scale_and_aspect_are_powers_of_two_of_the_size():
    x_BCHW = torch.full((1, 4, 32, 32), -1.0)
    x_BCHW[..., 12:20, 12:20] = 1.0  # a block of 8 x 8 around the middle
    twice, wide = (_move(x_BCHW, torch.tensor([move]), ground=-1.0) for move in ([1.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0]))

    def extent(moved_BCHW: torch.Tensor) -> tuple[int, int]:
        inside_HW = moved_BCHW[0, 0] > 0
        return int(inside_HW.any(dim=0).sum()), int(inside_HW.any(dim=1).sum())

    assert extent(twice) == (16, 16)
    assert extent(wide) == (16, 4)


def test_premultiplied_colors_stay_below_their_alpha():
    alpha_B1HW = torch.rand(16, 1, 16, 16, generator=torch.Generator().manual_seed(3))
    color_B3HW = alpha_B1HW * torch.rand(16, 3, 16, 16, generator=torch.Generator().manual_seed(4))
    moved_BCHW, _ = _augmented(torch.cat([color_B3HW, alpha_B1HW], dim=1) * 2 - 1, AugmentationConfig(probability=1.0))
    assert (moved_BCHW[:, :3] <= moved_BCHW[:, 3:] + 1e-6).all()
