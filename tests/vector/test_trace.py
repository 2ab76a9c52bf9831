"""Tracing: known shapes are recovered, with few paths and their own colors."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmodel.images.rgba import premultiply
from flowmodel.vector.artwork import render
from flowmodel.vector.trace import Traced, trace
from tests.vector.icons import BADGE, drawn


def _again(traced: Traced, size: int = 64) -> np.ndarray:
    """Premultiplied floats in [0, 1], (size, size, 4)."""
    return premultiply(np.asarray(render(traced.svg(), size))) / 255


def _off(traced: Traced, rgba_4HW: np.ndarray) -> float:
    """Root mean square difference between the image and its traced shapes, rendered at its size."""
    return float(np.sqrt(np.mean((_again(traced, rgba_4HW.shape[1]) - rgba_4HW.transpose(1, 2, 0) / 255) ** 2)))


def _wobbly(rgba_4HW: np.ndarray, by: float) -> np.ndarray:
    noise = np.random.default_rng(0).uniform(-by, by, rgba_4HW.shape)
    noisy = (rgba_4HW + noise * (rgba_4HW[3] > 0)).clip(0, 255).round().astype(np.uint8)
    return np.concatenate([np.minimum(noisy[:3], noisy[3:]), noisy[3:]])


def test_flat_shapes_are_a_path_each_in_their_own_colors():
    traced = trace(BADGE)
    assert (traced.paths, traced.colors, traced.gradients) == (2, 2, 0)
    found = [bytes.fromhex(color) for color in re.findall(r'fill="#(\w+)"', traced.elements)]
    assert np.abs(np.array([list(color) for color in found]) - [[0xE5, 0x39, 0x35], [255, 255, 255]]).max() < 4
    assert _off(traced, BADGE) < 0.03


def test_wobble_as_a_generator_leaves_it_adds_no_path():
    traced = trace(_wobbly(BADGE, 10))
    assert traced.paths == 2
    assert _off(traced, BADGE) < 0.035


def test_edges_are_smooth_and_have_no_rim_of_another_color():
    """Dark hair on light skin, at eight times the size: all that is neither is a border one pixel of the icon wide."""
    icon = drawn('<rect width="64" height="64" fill="#ffcc99"/><circle cx="32" cy="10" r="30" fill="#333333"/>')
    rgb = _again(trace(icon), 512)[..., :3]
    off = np.minimum(*(np.abs(rgb - np.array(color) / 255).max(axis=-1) for color in ((255, 204, 153), (51, 51, 51))))
    assert (off > 0.05).mean() < 0.01


def test_no_dark_color_comes_in_from_what_is_transparent():
    icon = drawn('<circle cx="32" cy="32" r="26" fill="#ffffff"/>')
    again = _again(trace(icon), 256)
    visible = again[..., 3] > 0.1
    assert (again[visible][:, :3] / again[visible][:, 3:]).min() > 0.98


def test_a_gradient_stays_one_shape():
    stops = '<stop offset="0" stop-color="#1565c0"/><stop offset="1" stop-color="#90caf9"/>'
    icon = drawn(
        f'<linearGradient id="a" x2="0.6" y2="1">{stops}</linearGradient>'
        '<rect x="4" y="4" width="56" height="56" fill="url(#a)"/>'
    )
    traced = trace(icon)
    assert (traced.paths, traced.gradients) == (1, 1)
    assert _off(traced, icon) < 0.03
    assert _off(trace(_wobbly(icon, 8)), icon) < 0.035


@pytest.mark.parametrize("ground", ['<rect width="64" height="64" fill="#fdd835"/>', ""], ids=["on a color", "on nothing"])
@pytest.mark.parametrize("line", ["M8 20H56", "M8 8L56 50"], ids=["level", "slanting"])
@pytest.mark.parametrize("width", [0.6, 1.0])
def test_a_line_thinner_than_a_pixel_is_still_there(ground, line, width):
    icon = drawn(f'{ground}<path d="{line}" stroke="#222222" stroke-width="{width}"/>')
    bare = drawn(ground)
    again = _again(trace(icon)).transpose(2, 0, 1) * 255

    def ink(image):
        return np.abs(image.astype(float) - bare).sum()

    assert 0.7 < ink(again) / ink(icon) < 1.3


def test_what_shines_through_stays_so():
    icon = drawn('<rect x="8" y="8" width="48" height="48" fill="#00acc1" fill-opacity="0.5"/>')
    again = _again(trace(icon))
    assert again[32, 32, 3] == pytest.approx(0.5, abs=0.02)


def test_shapes_that_touch_leave_no_gap():
    halves = '<rect x="8" y="8" width="24" height="48" fill="#43a047"/><rect x="32" y="8" width="24" height="48" fill="#fb8c00"/>'
    again = _again(trace(drawn(halves)), 500)
    assert again[100:400, 100:400, 3].min() > 0.995


def test_an_empty_image_has_no_shape():
    traced = trace(np.zeros((4, 32, 32), dtype=np.uint8))
    assert traced.paths == 0 and np.asarray(render(traced.svg(), 32)).max() == 0


@pytest.mark.parametrize("shape", [(16, 16), (64, 40), (128, 128)])
def test_images_of_any_shape_can_be_traced(shape):
    rgba_4HW = np.zeros((4, *shape), dtype=np.uint8)
    rgba_4HW[:, 4:-4, 4:-4] = np.array([40, 80, 160, 255], dtype=np.uint8)[:, None, None]
    traced = trace(rgba_4HW)
    assert traced.paths == 1
    image = render(traced.svg(), 256)
    assert image.size == ((256, 256) if shape[0] == shape[1] else (160, 256))


def test_noise_becomes_shapes_too_but_not_without_end():
    noise = np.random.default_rng(0).integers(0, 256, (4, 64, 64), dtype=np.uint8)
    noise[:3] = np.minimum(noise[:3], noise[3:])
    traced = trace(noise)
    assert 100 < traced.paths < 2000
    assert np.asarray(render(traced.svg(), 64)).any()


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_anything_can_be_traced_and_the_same_twice(seed):
    noise = np.random.default_rng(seed).integers(0, 256, (4, 12, 12), dtype=np.uint8)
    noise[:3] = np.minimum(noise[:3], noise[3:])
    traced = trace(noise)
    assert traced == trace(noise)
    render(traced.svg(), 48)
