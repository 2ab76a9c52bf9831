"""Icons that tests draw, trace and open again."""

import numpy as np
from numpy.typing import NDArray

from flowmodel.images.rgba import premultiply
from flowmodel.vector.artwork import render


def drawn(elements: str, size: int = 64) -> NDArray[np.uint8]:
    """SVG elements on a square of 64 units as premultiplied pixels, (4, size, size), each the mean of those that it covers."""
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">{elements}</svg>'
    large = premultiply(np.asarray(render(svg, size * 4))).reshape(size, 4, size, 4, 4)
    return large.mean(axis=(1, 3)).round().astype(np.uint8).transpose(2, 0, 1)


BADGE = drawn(
    '<circle cx="32" cy="32" r="27" fill="#e53935"/><path d="M20 34l8 8l17-19" fill="none" stroke="#fff" stroke-width="6"/>'
)
