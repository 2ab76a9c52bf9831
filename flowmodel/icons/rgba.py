"""RGBA pictures: straight and premultiplied alpha, PNG bytes, and the model's [-1, 1] range.

Shape suffixes: H, W pixels, N pictures, 4 channels (red, green, blue, alpha). Straight alpha exists only in PNGs that come in
or go out; everything between is premultiplied, so that the colour of a transparent pixel can't matter.
"""

import io
import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

# An icon is small; a larger picture is a mistake or a decompression bomb.
MAX_EDGE = 4096


def premultiply(rgba_HW4: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Multiply colour by alpha, rounded. Takes and returns uint8 (..., 4)."""
    colour, alpha = rgba_HW4[..., :3].astype(np.uint32), rgba_HW4[..., 3:].astype(np.uint32)
    return np.concatenate([(colour * alpha + 127) // 255, alpha], axis=-1).astype(np.uint8)


def unpremultiply(rgba_HW4: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Divide colour by alpha, rounded; a fully transparent pixel becomes 0, 0, 0, 0. Takes and returns uint8 (..., 4).

    ``premultiply(unpremultiply(p)) == p`` for every valid p (no colour above its alpha). Pillow's own conversion truncates,
    so that pictures would darken a little each time they go to disk and back.
    """
    colour, alpha = rgba_HW4[..., :3].astype(np.uint32), rgba_HW4[..., 3:].astype(np.uint32)
    straight = np.minimum((colour * 255 + alpha // 2) // np.maximum(alpha, 1), 255)
    return np.concatenate([np.where(alpha > 0, straight, 0), alpha], axis=-1).astype(np.uint8)


def decode_png(png: bytes) -> NDArray[np.uint8]:
    """Straight RGBA, uint8 (H, W, 4), of a PNG of any mode.

    Raises ValueError with a short reason: empty, not a PNG, too large, truncated or corrupt.
    """
    return np.array(open_png(png))


def open_png(png: bytes) -> Image.Image:
    """Like :func:`decode_png`, as a Pillow picture of mode RGBA."""
    if not png:
        raise ValueError("empty file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is lower
            picture: Image.Image = Image.open(io.BytesIO(png), formats=("PNG",))
    except Image.DecompressionBombError:
        raise ValueError(f"larger than {MAX_EDGE} x {MAX_EDGE} pixels") from None
    except UnidentifiedImageError:
        raise ValueError("not a PNG picture") from None
    except Exception as error:  # hostile bytes make Pillow raise many types
        raise ValueError(f"corrupt PNG ({_first_line(error)})") from None
    if max(picture.size) > MAX_EDGE:
        raise ValueError(f"larger than {MAX_EDGE} x {MAX_EDGE} pixels: {picture.width} x {picture.height}")
    try:
        if picture.mode.startswith("I"):  # 16-bit grey: Pillow would clip it to 8 bits; keep the high byte, as it does for colour
            picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
        return picture.convert("RGBA")
    except Exception as error:
        raise ValueError(f"corrupt PNG ({_first_line(error)})") from None


def encode_png(rgba_HW4: NDArray[np.uint8]) -> bytes:
    """PNG bytes of a straight RGBA picture, uint8 (H, W, 4). Equal pictures give equal bytes (with one build of zlib)."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgba_HW4, dtype=np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


def to_unit(rgba_N4HW: torch.Tensor) -> torch.Tensor:
    """Premultiplied uint8 to the model's float32 in [-1, 1]; any shape, any device."""
    return rgba_N4HW.to(torch.float32) / 127.5 - 1.0


def from_unit(x_N4HW: torch.Tensor) -> torch.Tensor:
    """The model's floats to premultiplied uint8 (N, 4, H, W): rounded, clamped, and no colour above its alpha.

    A network may put out any colour; above its alpha a premultiplied one has no meaning.
    """
    rgba_N4HW = ((x_N4HW.float() + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8)
    alpha_N1HW = rgba_N4HW[:, 3:]
    return torch.cat([torch.minimum(rgba_N4HW[:, :3], alpha_N1HW), alpha_N1HW], dim=1)


def to_image(rgba_4HW: torch.Tensor | NDArray[np.uint8]) -> Image.Image:
    """A premultiplied uint8 picture (4, H, W) as Pillow picture with straight alpha (mode RGBA)."""
    array_4HW = rgba_4HW.cpu().numpy() if isinstance(rgba_4HW, torch.Tensor) else rgba_4HW
    return Image.fromarray(np.ascontiguousarray(unpremultiply(array_4HW.transpose(1, 2, 0))))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
