import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from flowmodel.icons.rgba import decode_png, encode_png, from_unit, premultiply, to_image, to_unit, unpremultiply
from tests.icons.helpers import plain

PICTURES = hnp.arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(4)))


def png_of(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def every_valid_pixel() -> np.ndarray:
    """All 32,896 pairs of a premultiplied colour and an alpha that is not below it."""
    alpha, colour = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    keep = colour <= alpha
    return np.stack([colour[keep]] * 3 + [alpha[keep]], axis=-1).astype(np.uint8)


def test_premultiply_rounds_to_nearest() -> None:
    alpha, colour = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    straight = np.stack([colour] * 3 + [alpha], axis=-1).astype(np.uint8)
    assert np.array_equal(premultiply(straight)[..., 0], np.rint(colour * alpha / 255))
    assert np.array_equal(premultiply(straight)[..., 3], alpha)


def test_unpremultiply_is_undone_exactly_for_every_valid_pixel() -> None:
    premultiplied = every_valid_pixel()
    assert np.array_equal(premultiply(unpremultiply(premultiplied)), premultiplied)


def test_unpremultiply_gives_transparent_black_where_alpha_is_zero() -> None:
    assert not unpremultiply(plain((7, 8, 9, 0))).any()


def test_pillow_truncates_where_we_round() -> None:
    """The reason for our own conversion; if this fails, Pillow has changed and ours may go."""
    premultiplied = every_valid_pixel()[None]
    pillow = np.asarray(Image.frombuffer("RGBa", premultiplied.shape[1::-1], premultiplied.tobytes()).convert("RGBA"))
    assert not np.array_equal(premultiply(pillow), premultiplied)


@given(PICTURES)
def test_png_round_trip_keeps_every_byte_also_invisible_ones(rgba_HW4: np.ndarray) -> None:
    assert np.array_equal(decode_png(encode_png(rgba_HW4)), rgba_HW4)
    assert encode_png(rgba_HW4) == encode_png(rgba_HW4.copy())


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_mode_decodes(mode: str) -> None:
    decoded = decode_png(png_of(Image.new("RGBA", (5, 3), (255, 255, 255, 255)).convert(mode)))
    assert decoded.shape == (3, 5, 4)
    assert (decoded == 255).all()


def test_palette_transparency_is_kept() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putdata([0, 1])
    assert decode_png(png_of(image, transparency=1))[0, :, 3].tolist() == [255, 0]


def test_16_bit_grey_keeps_its_high_byte() -> None:
    grey = np.array([[0, 128 << 8, 65535]], np.uint16)
    assert decode_png(png_of(Image.fromarray(grey)))[0, :, 0].tolist() == [0, 128, 255]


def bad_pictures() -> dict[str, tuple[bytes, str]]:
    good = encode_png(np.random.default_rng(0).integers(0, 256, (32, 32, 4), np.uint8))
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 6, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    jpeg = io.BytesIO()
    Image.new("RGB", (4, 4)).save(jpeg, "JPEG")
    return {
        "empty": (b"", "empty file"),
        "text": (b"not a picture at all", "not a PNG picture"),
        "another format": (jpeg.getvalue(), "not a PNG picture"),
        "truncated": (good[: len(good) // 2], "corrupt PNG"),
        "only the signature": (good[:8], "PNG"),
        "flipped": (good[:60] + bytes(byte ^ 0xFF for byte in good[60:120]) + good[120:], "corrupt PNG"),
        "bomb": (bomb, "larger than 4096 x 4096"),
        "too large": (encode_png(np.zeros((1, 4097, 4), np.uint8)), "larger than 4096 x 4096 pixels: 4097 x 1"),
    }


@pytest.mark.parametrize("case", bad_pictures())
def test_bad_bytes_are_a_value_error_with_a_short_reason(case: str) -> None:
    png, reason = bad_pictures()[case]
    with pytest.raises(ValueError, match=reason) as caught:
        decode_png(png)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=200), st.integers(0, 200))
def test_no_bytes_give_anything_but_a_picture_or_a_value_error(noise: bytes, position: int) -> None:
    good = encode_png(plain())
    for png in (noise, good[:position] + noise, good[:position] + noise + good[position + len(noise) :]):
        with contextlib.suppress(ValueError):
            assert decode_png(png).shape[-1] == 4


def test_unit_range_round_trip_is_exact() -> None:
    rgba_N4HW = torch.from_numpy(every_valid_pixel()).T.reshape(1, 4, 1, -1)
    x_N4HW = to_unit(rgba_N4HW)
    assert x_N4HW.dtype == torch.float32
    assert (x_N4HW.min(), x_N4HW.max()) == (-1, 1)
    assert torch.equal(from_unit(x_N4HW), rgba_N4HW)


@given(hnp.arrays(np.float32, (2, 4, 3, 3), elements=st.floats(-5, 5, width=32)))
def test_from_unit_always_gives_a_valid_premultiplied_picture(x: np.ndarray) -> None:
    rgba_N4HW = from_unit(torch.from_numpy(x))
    assert rgba_N4HW.dtype == torch.uint8
    assert (rgba_N4HW[:, :3] <= rgba_N4HW[:, 3:]).all()


def test_to_image_has_straight_alpha() -> None:
    half_red_4HW = torch.tensor([64, 0, 0, 128], dtype=torch.uint8).reshape(4, 1, 1)
    for picture in (half_red_4HW, half_red_4HW.numpy()):
        image = to_image(picture)
        assert image.mode == "RGBA"
        assert image.getpixel((0, 0)) == (128, 0, 0, 128)
