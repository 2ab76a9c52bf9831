"""An icon at any size, on any ground: from its traced shapes, or from its pixels.

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
    """What one icon's files are made of.

    Attributes:
        rgba_4HW: its pixels, premultiplied uint8, as the model has drawn them.
        traces: whether other sizes than its own are drawn from traced shapes; else from enlarged pixels.
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
        from flowmodel.vector.trace import trace  # not needed for pixels, and comes with the extra `vector`

        return trace(self.rgba_4HW)

    def svg(self, size: int | None = None) -> str:
        """As SVG whose longer edge is shown `size` pixels long, its own where None."""
        return self.traced.svg(size, self.background)

    def at(self, size: int | None = None) -> Image.Image:
        """Straight RGBA, its longer edge `size` pixels long; its own pixels at their own size, or where `size` is None."""
        pixels = to_image(self.rgba_4HW)
        if size is None or size == self.size:
            picture = pixels
        elif self.traces:
            picture = render(self.traced.svg(), size)
        else:
            scale = size / self.size
            edges = (max(1, round(pixels.width * scale)), max(1, round(pixels.height * scale)))
            # Scaled premultiplied, or dark color under transparent pixels would fringe the edges.
            picture = pixels.convert("RGBa").resize(edges, Image.Resampling.BICUBIC).convert("RGBA")
        if self.background is None:
            return picture
        ground = Image.new("RGBA", picture.size, self.background)
        ground.alpha_composite(picture)
        return ground


def render(svg: str, size: int) -> Image.Image:
    """An SVG of ours as straight RGBA, its longer edge `size` pixels long."""
    import resvg_py

    # Given both edges, resvg fits the picture into the square. It is safe to let it draw in this process: the SVG is our own.
    png = resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True)
    return Image.open(io.BytesIO(bytes(png))).convert("RGBA")


def background(color: str) -> str | None:
    """`transparent` as None, and a color such as #fff or white as #rrggbb. Raises FlowmodelError for anything else."""
    if color == "transparent":
        return None
    try:
        red, green, blue = ImageColor.getrgb(color)[:3]
    except ValueError:
        raise FlowmodelError(f"background '{color}': write transparent, or a color as #fff or #ffcc00") from None
    return f"#{red:02x}{green:02x}{blue:02x}"
