"""RGBA images: straight and premultiplied alpha, and PNG bytes.

Shape suffixes: H, W pixels, N images, 4 channels (red, green, blue, alpha). Straight alpha is used only in PNG files. Everything
else is premultiplied, so that the color of transparent pixels can't matter.
"""

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    import pyarrow as pa

_COLOR, _ALPHA = np.meshgrid(np.arange(256, dtype=np.uint32), np.arange(256, dtype=np.uint32))
# Results by (alpha, color); a lookup is several times faster than a division.
_TIMES_ALPHA = ((_COLOR * _ALPHA + 127) // 255).astype(np.uint8).ravel()
_BY_ALPHA = (
    np.where(_ALPHA > 0, np.minimum((_COLOR * 255 + _ALPHA // 2) // np.maximum(_ALPHA, 1), 255), 0).astype(np.uint8).ravel()
)


def premultiply(rgba_HW4: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Multiply color by alpha, rounded. Takes and returns uint8 (..., 4)."""
    return _look_up(_TIMES_ALPHA, rgba_HW4)


def unpremultiply(rgba_HW4: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Divide color by alpha, rounded; a fully transparent pixel becomes 0, 0, 0, 0. Takes and returns uint8 (..., 4).

    ``premultiply(unpremultiply(p)) == p`` for every valid p (no color above its alpha). Pillow's own conversion truncates, so
    that images would darken a little with every round trip to disk.
    """
    return _look_up(_BY_ALPHA, rgba_HW4)


def _look_up(table: NDArray[np.uint8], rgba_HW4: NDArray[np.uint8]) -> NDArray[np.uint8]:
    out_HW4: NDArray[np.uint8] = table.take((rgba_HW4[..., 3:].astype(np.uint16) << 8) | rgba_HW4)
    out_HW4[..., 3] = rgba_HW4[..., 3]
    return out_HW4


def pixels(rgba: "pa.ChunkedArray", size: int) -> NDArray[np.uint8]:
    """The column `rgba` of usable normalized icons as one array, uint8 (N, 4, size, size)."""
    images = [np.frombuffer(value.as_buffer(), np.uint8) for value in rgba]
    return np.stack(images).reshape(-1, 4, size, size) if images else np.zeros((0, 4, size, size), np.uint8)


def encode_png(rgba_HW4: NDArray[np.uint8], compress_level: int = 6) -> bytes:
    """PNG bytes of a straight RGBA image, uint8 (H, W, 4). Equal images give equal bytes with the same build of zlib.

    `compress_level` is zlib's, 0 to 9.
    """
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgba_HW4, dtype=np.uint8)).save(buffer, format="PNG", compress_level=compress_level)
    return buffer.getvalue()


def to_image(rgba_4HW: Any) -> Image.Image:
    """Convert a premultiplied uint8 image (4, H, W), an array or tensor, to a Pillow image with straight alpha (mode RGBA)."""
    # Tensors are recognized by a method, because importing torch takes a second and reading icons does not need it.
    array_4HW: NDArray[np.uint8] = rgba_4HW.cpu().numpy() if hasattr(rgba_4HW, "cpu") else rgba_4HW
    return Image.fromarray(np.ascontiguousarray(unpremultiply(array_4HW.transpose(1, 2, 0))))
