"""An icon at any size and on any background, rendered from its traced shapes or from its pixels.

Shape suffixes: H/W height and width, 4 channels (premultiplied RGBA).
"""

import io
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from flowmodel.errors import FlowmodelError
from flowmodel.images.rgba import to_image

if TYPE_CHECKING:
    from flowmodel.vector.trace import Traced


@dataclass(frozen=True)
class Artwork:
    """The input for the files of an icon.

    Attributes:
        rgba_4HW: pixels, premultiplied uint8, as sampled.
        traces: whether other sizes are rendered from traced shapes instead of scaled pixels.
        background: a color, such as #fff, or None for transparent.
    """

    rgba_4HW: NDArray[np.uint8]
    traces: bool = True
    background: str | None = None

    @property
    def size(self) -> int:
        """The longer edge of its pixels."""
        return max(self.rgba_4HW.shape[1:])

    @cached_property
    def traced(self) -> "Traced":
        from flowmodel.vector.trace import trace  # imported lazily, because it needs the extra `vector`

        return trace(self.rgba_4HW)

    def svg(self, size: int | None = None) -> str:
        """The icon as SVG with a longer edge of `size` pixels, or its own size if None."""
        return self.traced.svg(size, self.background)

    def at(self, size: int | None = None) -> Image.Image:
        """Straight RGBA with a longer edge of `size` pixels; its own pixels if `size` is its own size or None."""
        pixels = to_image(self.rgba_4HW)
        if size is None or size == self.size:
            image = pixels
        elif self.traces:
            image = render(self.traced.svg(), size)
        else:
            scale = size / self.size
            edges = (max(1, round(pixels.width * scale)), max(1, round(pixels.height * scale)))
            # Scaled with premultiplied alpha, because dark colors of transparent pixels would fringe the edges.
            image = pixels.convert("RGBa").resize(edges, Image.Resampling.BICUBIC).convert("RGBA")
        if self.background is None:
            return image
        ground = Image.new("RGBA", image.size, self.background)
        ground.alpha_composite(image)
        return ground


def render(svg: str, size: int) -> Image.Image:
    """Render a traced SVG as straight RGBA with a longer edge of `size` pixels."""
    import resvg_py

    # Given both edges, resvg fits the image into the square. Rendering in this process is safe because the SVG is our own.
    png = resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True)
    return Image.open(io.BytesIO(bytes(png))).convert("RGBA")


def background(color: str) -> str | None:
    """Parse a background: None for `transparent`, #rrggbb for a color such as #fff or white. Raises FlowmodelError for anything
    else.
    """
    if color == "transparent":
        return None
    try:
        red, green, blue = ImageColor.getrgb(color)[:3]
    except ValueError:
        raise FlowmodelError(f"background '{color}': use transparent, or a color such as #fff or #ffcc00") from None
    return f"#{red:02x}{green:02x}{blue:02x}"
