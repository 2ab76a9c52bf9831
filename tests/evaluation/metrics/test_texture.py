"""Images with known texture."""

import pytest
import torch

from flowmodel.evaluation.metrics.texture import texture

_EDGE = 16


def _disk(radius: float = 6.0) -> torch.Tensor:
    """A red disk without soft edges."""
    y_HW, x_HW = torch.meshgrid(torch.arange(_EDGE), torch.arange(_EDGE), indexing="ij")
    is_inside_HW = (y_HW - 7.5) ** 2 + (x_HW - 7.5) ** 2 < radius**2
    rgba_4HW = torch.zeros(4, _EDGE, _EDGE, dtype=torch.uint8)
    rgba_4HW[[0, 3]] = 255 * is_inside_HW.to(torch.uint8)
    return rgba_4HW[None]


def test_a_disk_of_one_color_is_flat_and_has_sharp_edges_only():
    measured = texture(_disk())
    assert measured["flat_share"] == 1 and measured["inner_variation"] == 0
    assert measured["color_count"] == 1 and measured["half_transparent"] == 0
    # At the silhouette red and alpha change at once, to the right, below, or both.
    assert 2 <= measured["edge_sharpness"] <= 4


def test_a_slope_of_known_steepness_has_that_variation():
    rgba_N4HW = torch.full((1, 4, 8, 8), 255, dtype=torch.uint8)
    rgba_N4HW[:, 0] = 10 * torch.arange(8, dtype=torch.uint8)
    measured = texture(rgba_N4HW)
    assert measured["inner_variation"] == pytest.approx(10 / 255)
    assert measured["flat_share"] == 1  # just below what the eye sees
    rgba_N4HW[:, 0] = 11 * torch.arange(8, dtype=torch.uint8)
    assert texture(rgba_N4HW)["flat_share"] == 0


def test_colors_are_counted_as_far_as_they_cover_the_visible_area():
    rgba_N4HW = torch.zeros(1, 4, 20, 20, dtype=torch.uint8)
    rgba_N4HW[:, 3, :10] = 255  # 200 visible pixels, black
    rgba_N4HW[:, 0, :5] = 255  # half of them red
    rgba_N4HW[:, 1, 0, :9] = 255  # 4.5% yellow: not needed for 95%
    assert texture(rgba_N4HW)["color_count"] == 2
    rgba_N4HW[:, 1, 0, :11] = 255
    assert texture(rgba_N4HW)["color_count"] == 3


def test_a_checkerboard_is_all_finest_band_and_a_wide_stripe_has_none():
    board_HW = (torch.arange(8)[:, None] + torch.arange(8)) % 2
    rgba_N4HW = (255 * board_HW).to(torch.uint8).expand(1, 4, 8, 8)
    assert texture(rgba_N4HW)["finest_band"] == pytest.approx(1)
    stripe_HW = (torch.arange(8) // 4).expand(8, 8)
    assert texture((255 * stripe_HW).to(torch.uint8).expand(1, 4, 8, 8))["finest_band"] == 0


def test_a_transparent_image_has_no_inside_to_judge():
    measured = texture(torch.zeros(2, 4, 8, 8, dtype=torch.uint8))
    assert not {"flat_share", "inner_variation"} & measured.keys()
    assert measured["color_count"] == 0 and measured["edge_sharpness"] == 0


def test_nothing_is_measured_of_no_images():
    assert texture(torch.zeros(0, 4, 8, 8, dtype=torch.uint8)) == {}


def test_many_images_are_measured_as_one_large_one():
    both = torch.cat([_disk(3.0), _disk(7.0)])
    share = texture(both)["half_transparent"]
    both[1, 3, 0] = 128
    assert texture(both)["half_transparent"] == pytest.approx(share + _EDGE / both[:, 3].numel())
