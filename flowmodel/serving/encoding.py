"""Encodes an image as a file in the requested format."""

import io

import numpy as np
from numpy.typing import NDArray

from flowmodel.serving.requests import Order
from flowmodel.vector.artwork import Artwork


def content(rgba_4HW: NDArray[np.uint8], order: Order) -> bytes:
    """The bytes of a PNG, JPEG, WebP or SVG file. Sizes other than the image's own are rendered from traced shapes."""
    artwork = Artwork(rgba_4HW, background=order.background)
    if order.format == "svg":
        return artwork.svg(order.size).encode()
    image = artwork.at(order.size)
    if order.format == "jpeg":
        image = image.convert("RGB")
    options = {"lossless": order.quality == 100} if order.format == "webp" else {}
    buffer = io.BytesIO()
    image.save(buffer, order.format, quality=order.quality, **options)
    return buffer.getvalue()
