"""Recoloring of synthetic images."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from flowmodel.images.recolor import (
    PROTOTYPES,
    ColorStatistics,
    angle,
    color_statistics,
    from_oklab,
    lightness_chroma_hue,
    nearest_colors,
    recolored,
    to_oklab,
)

BLUE, RED, GREEN, GRAY, BLACK, WHITE = (
    (40, 90, 220),
    (220, 40, 30),
    (30, 160, 60),
    (120, 120, 120),
    (0, 0, 0),
    (255, 255, 255),
)
EDGE = 8


def image(*rows: tuple[tuple[int, int, int], int], alpha: int = 255) -> Tensor:
    """(1, 4, EDGE, EDGE), premultiplied: rows of each straight color from the top, transparent below."""
    rgba_14HW = torch.zeros(1, 4, EDGE, EDGE, dtype=torch.uint8)
    first = 0
    for color, count in rows:
        values = [round(value * alpha / 255) for value in color]
        rgba_14HW[0, :, first : first + count] = torch.tensor([*values, alpha], dtype=torch.uint8)[:, None, None]
        first += count
    return rgba_14HW


def hue_of(rgba_14HW: Tensor) -> float:
    """The hue of the dominant color, in degrees."""
    return math.degrees(color_statistics(rgba_14HW).hue_N.item()) % 360


def test_red_green_and_blue_are_where_ottosson_s_article_has_them():
    """https://bottosson.github.io/posts/oklab/: white is (1, 0, 0); the primaries as CSS Color 4 lists them."""
    rgb_43 = torch.tensor([[1.0, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    lab_43 = to_oklab(rgb_43[:, :, None, None])[:, :, 0, 0]
    expected_43 = torch.tensor([[1, 0, 0], [0.628, 0.2249, 0.1258], [0.8664, -0.2339, 0.1795], [0.452, -0.0325, -0.3115]])
    torch.testing.assert_close(lab_43, expected_43, atol=5e-4, rtol=0)


@given(st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3))
def test_every_color_comes_back_from_oklab(rgb):
    rgb_13HW = torch.tensor(rgb)[None, :, None, None]
    torch.testing.assert_close(from_oklab(to_oklab(rgb_13HW)), rgb_13HW, atol=1e-3, rtol=0)


def test_statistics_tell_the_dominant_color_and_how_much_of_the_image_it_is():
    statistics = color_statistics(image((BLUE, 3), (RED, 1), (GRAY, 2)))
    of_blue = color_statistics(image((BLUE, 1)))
    torch.testing.assert_close(statistics.hue_N, of_blue.hue_N)
    torch.testing.assert_close(statistics.lightness_N, of_blue.lightness_N)
    assert statistics.chromatic_N.item() == pytest.approx(4 / 6), "what is transparent doesn't count"
    chroma_of = {color: lightness_chroma_hue(image((color, 1)))[1][0, 0, 0].item() for color in (BLUE, RED)}
    share = 3 * chroma_of[BLUE] / (3 * chroma_of[BLUE] + chroma_of[RED])
    assert statistics.concentration_N.item() == pytest.approx(share, rel=1e-4)
    assert nearest_colors(statistics) == ["blue"]


def test_an_image_without_any_color_or_any_pixel_has_statistics_too():
    statistics = color_statistics(torch.cat([image((GRAY, 8)), image()]))
    assert statistics.chromatic_N.tolist() == statistics.concentration_N.tolist() == [0, 0]
    assert statistics.hue_N.isfinite().all() and statistics.lightness_N.isfinite().all()


@pytest.mark.parametrize("color", PROTOTYPES)
@pytest.mark.parametrize("own", [BLUE, RED, GREEN])
def test_the_color_gets_the_hue_of_the_word(own, color):
    blue_14HW = image((own, 6), (GRAY, 1))
    turned_14HW = recolored(blue_14HW, color_statistics(blue_14HW), [color])
    off = math.degrees(angle(torch.tensor(math.radians(hue_of(turned_14HW) - PROTOTYPES[color].hue))).item())
    assert abs(off) < 20, "sRGB does not have every hue at every lightness"


def test_a_prototype_is_called_by_its_own_name():
    statistics = color_statistics(torch.cat([image((BLUE, 1)), image((RED, 1)), image((GREEN, 1))]))
    assert nearest_colors(statistics) == ["blue", "red", "green"]
    for color, prototype in PROTOTYPES.items():
        hue_N, lightness_N = torch.tensor([math.radians(prototype.hue)]), torch.tensor([prototype.lightness])
        assert nearest_colors(ColorStatistics(hue_N, lightness_N, lightness_N, lightness_N)) == [color]


def test_blue_becomes_red_and_the_images_of_a_batch_do_not_touch_each_other():
    both_24HW = torch.cat([image((BLUE, 5)), image((GREEN, 5), (RED, 1))])
    red_14HW, green_as_purple_14HW = recolored(both_24HW, color_statistics(both_24HW), ["red", "purple"]).split(1)
    red, green, blue, alpha = red_14HW[0, :, 0, 0].tolist()
    assert red > 150 and red > 2 * max(green, blue) and alpha == 255
    alone_14HW = recolored(both_24HW[:1], color_statistics(both_24HW[:1]), ["red"])
    assert (alone_14HW.int() - red_14HW.int()).abs().max() <= 1
    torch.testing.assert_close(green_as_purple_14HW[0, :, 5], both_24HW[1, :, 5], atol=2, rtol=0)  # the third color stays


def test_transparent_gray_black_and_white_pixels_and_alpha_stay():
    blue_14HW = image((BLUE, 3), (GRAY, 1), (BLACK, 1), (WHITE, 1))
    turned_14HW = recolored(blue_14HW, color_statistics(blue_14HW), ["yellow"])
    assert torch.equal(turned_14HW[:, 3], blue_14HW[:, 3])
    assert not turned_14HW[0, :, 6:].any(), "transparent"
    difference_4HW = (turned_14HW[0].int() - blue_14HW[0].int()).abs()
    assert difference_4HW[:, 3:6].max() <= 1 and difference_4HW[:3, :3].max() > 100


@given(st.integers(0, 2**32 - 1), st.sampled_from(list(PROTOTYPES)))
def test_no_color_is_above_its_alpha_whatever_the_pixels(seed, color):
    rgba_14HW = torch.randint(0, 256, (1, 4, EDGE, EDGE), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    rgba_14HW[:, :3] = torch.minimum(rgba_14HW[:, :3], rgba_14HW[:, 3:])
    turned_14HW = recolored(rgba_14HW, color_statistics(rgba_14HW), [color])
    assert turned_14HW.dtype == torch.uint8 and (turned_14HW[:, :3] <= turned_14HW[:, 3:]).all()
    assert torch.equal(turned_14HW[:, 3], rgba_14HW[:, 3])


def test_half_transparent_pixels_turn_as_opaque_ones_do():
    opaque_14HW, half_14HW = image((BLUE, 8)), image((BLUE, 8), alpha=128)
    turned = [recolored(x_14HW, color_statistics(x_14HW), ["green"])[0, :3, 0, 0].float() for x_14HW in (opaque_14HW, half_14HW)]
    torch.testing.assert_close(turned[0] * 128 / 255, turned[1], atol=2, rtol=0)
