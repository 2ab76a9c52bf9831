import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from flowmodel.images.decode import decode_png
from flowmodel.images.rgba import encode_png, premultiply, to_image, unpremultiply
from flowmodel.images.tensors import at_size, from_unit, to_unit
from tests.data.helpers import plain

IMAGES = hnp.arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(4)))


def every_valid_pixel() -> np.ndarray:
    """All 32,896 pairs of a premultiplied color and an alpha that is not below it."""
    alpha, color = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    keep = color <= alpha
    return np.stack([color[keep]] * 3 + [alpha[keep]], axis=-1).astype(np.uint8)


def test_premultiply_rounds_to_nearest() -> None:
    alpha, color = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    straight = np.stack([color] * 3 + [alpha], axis=-1).astype(np.uint8)
    assert np.array_equal(premultiply(straight)[..., 0], np.rint(color * alpha / 255))
    assert np.array_equal(premultiply(straight)[..., 3], alpha)


def test_unpremultiply_is_undone_exactly_for_every_valid_pixel() -> None:
    premultiplied = every_valid_pixel()
    assert np.array_equal(premultiply(unpremultiply(premultiplied)), premultiplied)


def test_unpremultiply_gives_transparent_black_where_alpha_is_zero() -> None:
    assert not unpremultiply(plain((7, 8, 9, 0))).any()


def test_pillow_truncates_where_we_round() -> None:
    """The reason for our own conversion; if this fails, Pillow has changed and ours can be removed."""
    premultiplied = every_valid_pixel()[None]
    pillow = np.asarray(Image.frombuffer("RGBa", premultiplied.shape[1::-1], premultiplied.tobytes()).convert("RGBA"))
    assert not np.array_equal(premultiply(pillow), premultiplied)


@given(IMAGES)
def test_png_round_trip_keeps_every_byte_also_invisible_ones(rgba_HW4: np.ndarray) -> None:
    assert np.array_equal(decode_png(encode_png(rgba_HW4)), rgba_HW4)
    assert encode_png(rgba_HW4) == encode_png(rgba_HW4.copy())


def test_unit_range_round_trip_is_exact() -> None:
    rgba_N4HW = torch.from_numpy(every_valid_pixel()).T.reshape(1, 4, 1, -1)
    x_N4HW = to_unit(rgba_N4HW)
    assert x_N4HW.dtype == torch.float32
    assert (x_N4HW.min(), x_N4HW.max()) == (-1, 1)
    assert torch.equal(from_unit(x_N4HW), rgba_N4HW)


@given(hnp.arrays(np.float32, (2, 4, 3, 3), elements=st.floats(-5, 5, width=32)))
def test_from_unit_always_gives_a_valid_premultiplied_image(x: np.ndarray) -> None:
    rgba_N4HW = from_unit(torch.from_numpy(x))
    assert rgba_N4HW.dtype == torch.uint8
    assert (rgba_N4HW[:, :3] <= rgba_N4HW[:, 3:]).all()


def test_to_image_has_straight_alpha() -> None:
    half_red_4HW = torch.tensor([64, 0, 0, 128], dtype=torch.uint8).reshape(4, 1, 1)
    for rgba_4HW in (half_red_4HW, half_red_4HW.numpy()):
        image = to_image(rgba_4HW)
        assert image.mode == "RGBA"
        assert image.getpixel((0, 0)) == (128, 0, 0, 128)


def test_an_image_at_half_its_size_has_the_means_of_four_pixels():
    rgba_1422 = torch.tensor([0, 2, 4, 6], dtype=torch.uint8).view(1, 1, 2, 2).expand(1, 4, 2, 2)
    assert at_size(rgba_1422, 1).tolist() == [[[[3]]] * 4]
    assert at_size(rgba_1422, 2) is rgba_1422
