"""Traces an icon to SVG: regions, their outlines as curves (vtracer), and their fills.

Shape suffixes: H/W height and width, Y/X those of the enlarged image, 4 channels (premultiplied RGBA), R regions.
"""

import io
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from itertools import cycle

import numpy as np
import vtracer
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_dilation, binary_fill_holes, find_objects, label, minimum

from flowmodel.vector.fills import Fill, fills, planes
from flowmodel.vector.outlines import SCALE, coverage, enlarged_labels, parts
from flowmodel.vector.regions import Floats, Labels, segment

_OVERLAP = 2  # overlap of a shape below another one, in enlarged pixels; without it, the background shines through
_CURVE = 10.0  # length below which a curve is not subdivided, in enlarged pixels; vtracer's default of 4 gives 50% more points
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_SVG = "http://www.w3.org/2000/svg"


@dataclass(frozen=True)
class Traced:
    """A traced icon.

    Attributes:
        elements: its shapes and gradients as SVG; user units are pixels of the icon.
        width, height: of the icon, in pixels.
        paths: number of shapes.
        colors: number of different flat colors.
        gradients: number of shapes with a linear gradient.
    """

    elements: str
    width: int
    height: int
    paths: int
    colors: int
    gradients: int

    def svg(self, size: int | None = None, background: str | None = None) -> str:
        """The SVG file with a longer edge of `size` pixels, or the icon's own size if None, and an optional background color."""
        scale = (size or max(self.width, self.height)) / max(self.width, self.height)
        edges = f'width="{self.width * scale:g}" height="{self.height * scale:g}"'
        ground = f'<rect width="100%" height="100%" fill="{background}"/>' if background else ""
        return f'<svg xmlns="{_SVG}" {edges} viewBox="0 0 {self.width} {self.height}">{ground}{self.elements}</svg>\n'


def trace(rgba_4HW: NDArray[np.uint8]) -> Traced:
    """Trace a premultiplied uint8 image, (4, H, W)."""
    rgba_HW4 = rgba_4HW.transpose(1, 2, 0).astype(float) / 255
    height, width = rgba_HW4.shape[:2]
    labels_HW = segment(rgba_HW4)
    planes_R34 = planes(rgba_HW4, labels_HW)
    labels_YX = enlarged_labels(rgba_HW4, labels_HW, planes_R34)
    fill_of = fills(rgba_HW4, labels_HW, planes_R34, coverage(labels_YX, len(planes_R34)))

    definitions = ET.Element("defs")
    shapes = _shapes(labels_YX, fill_of)
    paths = [ET.Element("path", _paint(fill_of[shape.region], shape.region, definitions), d=_outline(shape)) for shape in shapes]
    elements = "".join(
        ET.tostring(element, encoding="unicode") for element in ([definitions] if len(definitions) else []) + paths
    )
    used = [fill_of[shape.region] for shape in shapes]
    colors = len({tuple(fill.stops_S4[0]) for fill in used if fill.is_flat})
    return Traced(elements, width, height, len(shapes), colors, sum(not fill.is_flat for fill in used))


@dataclass(frozen=True)
class _Shape:
    """A shape of a region: `mask` with its upper left corner at `x`, `y`, in enlarged pixels."""

    region: int
    x: int
    y: int
    mask: NDArray[np.bool_]


def _shapes(labels_YX: Labels, fill_of: dict[int, Fill]) -> list[_Shape]:
    """Shapes from bottom to top: larger shapes first, which extend slightly below smaller ones."""
    parts_YX, region_of = parts(labels_YX)
    boxes = [tuple(slice(max(edge.start - _OVERLAP, 0), edge.stop + _OVERLAP) for edge in box) for box in find_objects(parts_YX)]
    painted = [number for number, region in enumerate(region_of, start=1) if region in fill_of]
    whole = {number: binary_fill_holes(parts_YX[boxes[number - 1]] == number) for number in painted}
    painted.sort(key=lambda number: -int(whole[number].sum()))
    order_P = np.full(len(region_of) + 1, -1)  # order of the parts that a lower shape may extend below
    for place, number in enumerate(painted):
        order_P[number] = place if fill_of[region_of[number - 1]].is_opaque else -1
    shapes = []
    for place, number in enumerate(painted):
        box = boxes[number - 1]
        own, above = parts_YX[box] == number, order_P[parts_YX[box]] > place
        holes, count = label(whole[number] & ~own)
        covered = minimum(above, holes, np.arange(count + 1)).astype(bool)
        covered[0] = False
        mask = own | (binary_dilation(own, iterations=_OVERLAP) & above) | covered[holes]
        shapes.append(_Shape(int(region_of[number - 1]), box[1].start, box[0].start, mask))
    return shapes


def _outline(shape: _Shape) -> str:
    """The path around a shape, in pixels of the icon."""
    buffer = io.BytesIO()
    Image.fromarray(np.where(shape.mask, 0, 255).astype(np.uint8)).save(buffer, "PNG", compress_level=1)
    options = {"colormode": "binary", "mode": "spline", "filter_speckle": 0, "length_threshold": _CURVE, "path_precision": 2}
    traced = vtracer.convert_raw_image_to_svg(buffer.getvalue(), img_format="png", **options)
    return " ".join(_moved(path, shape.x, shape.y) for path in ET.fromstring(traced).iter(f"{{{_SVG}}}path"))


def _moved(path: ET.Element, x: int, y: int) -> str:
    """The coordinates of a path that vtracer has written, in pixels of the icon."""
    moved_x, moved_y = (float(number) for number in _NUMBER.findall(path.get("transform", "translate(0,0)")))
    moves = cycle((x + moved_x, y + moved_y))  # vtracer writes x and y alternately, in M, C, L and Z commands only
    return _NUMBER.sub(lambda number: f"{(float(number[0]) + next(moves)) / SCALE:.4g}", path.get("d", "")).strip()


def _paint(fill: Fill, region: int, definitions: ET.Element) -> dict[str, str]:
    """The attributes of a path with this fill. A gradient is defined on its first use."""
    if fill.start is None or fill.end is None:
        return _css(fill.stops_S4[0], "fill", "fill-opacity")
    name = f"g{region}"
    if definitions.find(f"*[@id='{name}']") is None:
        # The center of pixel (0, 0) is half a unit from the corner.
        x1, y1, x2, y2 = (f"{value + 0.5:.4g}" for value in (*fill.start, *fill.end))
        line = {"id": name, "gradientUnits": "userSpaceOnUse", "x1": x1, "y1": y1, "x2": x2, "y2": y2}
        gradient = ET.SubElement(definitions, "linearGradient", line)
        for offset, color_4 in enumerate(fill.stops_S4):
            ET.SubElement(gradient, "stop", {"offset": str(offset)} | _css(color_4, "stop-color", "stop-opacity"))
    return {"fill": f"url(#{name})"}


def _css(color_4: Floats, color: str, opacity: str) -> dict[str, str]:
    """The attributes of a premultiplied color, by name."""
    *premultiplied, alpha = color_4
    straight = (min(255, round(255 * value / max(alpha, 1e-6))) for value in premultiplied)
    return {color: "#{:02x}{:02x}{:02x}".format(*straight)} | ({} if alpha == 1 else {opacity: f"{alpha:.3g}"})
