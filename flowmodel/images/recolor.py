"""Recolors icons: the dominant color changes, for example from blue to red; white, black and other colors stay.

Colors are classified and changed in OKLab (Björn Ottosson, 2020, https://bottosson.github.io/posts/oklab/), which is perceptually
uniform: rotating a hue keeps its lightness. A copy differs from its icon in its dominant color only, so that a network can learn
the meaning of color words from both.

Shape suffixes: N images, 4 channels (premultiplied RGBA), 3 channels, H/W height and width. Hues are in radians.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Prototype(NamedTuple):
    """A prototype of a color: OKLab lightness in [0, 1] and hue in degrees."""

    lightness: float
    hue: float


# Basic color terms with a hue (Berlin and Kay 1969). Orange and brown differ in lightness only.
PROTOTYPES = {
    "red": Prototype(0.58, 27),
    "orange": Prototype(0.72, 58),
    "yellow": Prototype(0.86, 97),
    "green": Prototype(0.64, 145),
    "blue": Prototype(0.58, 252),
    "purple": Prototype(0.52, 305),
    "pink": Prototype(0.75, 355),
    "brown": Prototype(0.45, 55),
}

# The matrices from linear sRGB to cone responses, and from their cube roots to lightness, green-red and blue-yellow.
_LMS_33 = torch.tensor(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LAB_33 = torch.tensor(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)

CHROMATIC = 0.06  # least chroma of a colored pixel
OPAQUE = 0.5  # least alpha of a pixel of the object
_HUE_BINS = 24
_DOMINANT = math.radians(40)  # pixels within this distance of the most frequent hue are the dominant color
# how far from the dominant hue other hues still rotate with it, and the softness of that limit
_TURNED, _TURNED_EDGE = math.radians(55), math.radians(8)
_SPREAD_KEPT = 0.6  # of the hue differences within the dominant color, which becomes narrower and closer to the prototype
_LIGHTNESS_TAKEN = 0.75  # fraction of the way to the prototype's lightness
_BROWN_CHROMA_LOST = 0.35  # brown is a dull orange
_GRAY_CHROMA = 0.02  # pixels with less chroma rotate less; half at this chroma
_GAMUT_STEPS = 3  # passes that reduce chroma outside the sRGB gamut


@dataclass(frozen=True)
class ColorStatistics:
    """The color statistics of N images.

    Attributes:
        hue_N, lightness_N: of the dominant color; OKLab lightness in [0, 1].
        chromatic_N: share of colored pixels among opaque ones.
        concentration_N: share of the dominant color among colored pixels, weighted by chroma.
    """

    hue_N: Tensor
    lightness_N: Tensor
    chromatic_N: Tensor
    concentration_N: Tensor

    def __getitem__(self, rows: Tensor | slice) -> "ColorStatistics":
        return ColorStatistics(self.hue_N[rows], self.lightness_N[rows], self.chromatic_N[rows], self.concentration_N[rows])


def to_oklab(rgb_N3HW: Tensor) -> Tensor:
    """Straight sRGB in [0, 1] to OKLab (N, 3, H, W): lightness in [0, 1], then green-red and blue-yellow."""
    linear_N3HW = torch.where(rgb_N3HW <= 0.04045, rgb_N3HW / 12.92, ((rgb_N3HW.clamp(min=0) + 0.055) / 1.055) ** 2.4)
    lms_N3HW = torch.einsum("ij,njhw->nihw", _LMS_33.to(rgb_N3HW), linear_N3HW).clamp(min=0) ** (1 / 3)
    return torch.einsum("ij,njhw->nihw", _LAB_33.to(rgb_N3HW), lms_N3HW)


def from_oklab(lab_N3HW: Tensor) -> Tensor:
    """OKLab to straight sRGB, clamped to [0, 1]."""
    lms_N3HW = torch.einsum("ij,njhw->nihw", torch.linalg.inv(_LAB_33).to(lab_N3HW), lab_N3HW) ** 3
    linear_N3HW = torch.einsum("ij,njhw->nihw", torch.linalg.inv(_LMS_33).to(lab_N3HW), lms_N3HW).clamp(0, 1)
    # Both branches of `where` are computed, so the root's argument is kept away from 0.
    bright_N3HW = 1.055 * linear_N3HW.clamp(min=1e-8) ** (1 / 2.4) - 0.055
    return torch.where(linear_N3HW <= 0.0031308, linear_N3HW * 12.92, bright_N3HW).clamp(0, 1)


def lightness_chroma_hue(rgba_N4HW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """OKLCh of each pixel of premultiplied uint8 images, (N, H, W) each; transparent pixels count as black."""
    lightness_NHW, green_red_NHW, blue_yellow_NHW = to_oklab(_straight(rgba_N4HW)).unbind(1)
    chroma_NHW = (green_red_NHW * green_red_NHW + blue_yellow_NHW * blue_yellow_NHW).sqrt()
    return lightness_NHW, chroma_NHW, torch.atan2(blue_yellow_NHW, green_red_NHW)


def color_statistics(rgba_N4HW: Tensor) -> ColorStatistics:
    """Statistics of premultiplied uint8 images, on their device. The dominant hue is the most frequent one, refined."""
    lightness_NHW, chroma_NHW, hue_NHW = lightness_chroma_hue(rgba_N4HW)
    alpha_NHW = _alpha(rgba_N4HW)[:, 0]
    weight_NHW = alpha_NHW * (chroma_NHW > CHROMATIC) * chroma_NHW
    bins_NP = ((hue_NHW / (2 * math.pi) * _HUE_BINS).floor().long() % _HUE_BINS).flatten(1)
    histogram_NK = torch.zeros(len(rgba_N4HW), _HUE_BINS, device=rgba_N4HW.device)
    histogram_NK.scatter_add_(1, bins_NP, weight_NHW.flatten(1))
    smooth_NK = histogram_NK + histogram_NK.roll(1, 1) + histogram_NK.roll(-1, 1)
    center_N = (smooth_NK.argmax(1) + 0.5) / _HUE_BINS * 2 * math.pi
    off_NHW = angle(hue_NHW - center_N[:, None, None])
    dominant_NHW = weight_NHW * (off_NHW.abs() < _DOMINANT)
    total_N = dominant_NHW.sum((1, 2)).clamp(min=1e-6)
    opaque_NHW = alpha_NHW > OPAQUE
    return ColorStatistics(
        hue_N=center_N + (dominant_NHW * off_NHW).sum((1, 2)) / total_N,
        lightness_N=(dominant_NHW * lightness_NHW).sum((1, 2)) / total_N,
        chromatic_N=(opaque_NHW * (chroma_NHW > CHROMATIC)).float().sum((1, 2)) / opaque_NHW.float().sum((1, 2)).clamp(min=1),
        concentration_N=dominant_NHW.sum((1, 2)) / weight_NHW.sum((1, 2)).clamp(min=1e-6),
    )


def nearest_colors(statistics: ColorStatistics) -> list[str]:
    """The color term for the dominant color of each image; 30 degrees of hue weigh as much as a lightness of 0.15."""

    def nearest(hue: float, lightness: float) -> str:
        def distance(color: str) -> float:
            prototype = PROTOTYPES[color]
            hues = abs((math.degrees(hue) % 360 - prototype.hue + 180) % 360 - 180) / 30
            return float(hues * hues + ((lightness - prototype.lightness) / 0.15) ** 2)

        return min(PROTOTYPES, key=distance)

    return [
        nearest(hue, lightness) for hue, lightness in zip(statistics.hue_N.tolist(), statistics.lightness_N.tolist(), strict=True)
    ]


def recolored(rgba_N4HW: Tensor, statistics: ColorStatistics, colors: Sequence[str]) -> Tensor:
    """Rotate the dominant color of each image to the prototype that `colors` names.

    Takes and returns premultiplied uint8 (N, 4, H, W) on one device; alpha does not change, and no color exceeds it. Hues near
    the dominant one are rotated to the prototype's and keep some of their differences. Lightness moves most of the way to the
    prototype's, except near black and white. Other colors and gray do not change.
    """
    device = rgba_N4HW.device
    prototypes = [PROTOTYPES[color] for color in colors]
    target_lightness_N11 = torch.tensor([prototype.lightness for prototype in prototypes], device=device)[:, None, None]
    target_hue_N11 = torch.tensor([math.radians(prototype.hue) for prototype in prototypes], device=device)[:, None, None]
    is_brown_N11 = torch.tensor([color == "brown" for color in colors], device=device)[:, None, None]
    lightness_NHW, chroma_NHW, hue_NHW = lightness_chroma_hue(rgba_N4HW)

    off_NHW = angle(hue_NHW - statistics.hue_N[:, None, None])
    share_NHW = torch.sigmoid((_TURNED - off_NHW.abs()) / _TURNED_EDGE) * (chroma_NHW / (chroma_NHW + _GRAY_CHROMA))
    turn_NHW = target_hue_N11 + off_NHW * _SPREAD_KEPT - hue_NHW
    turned_NHW = hue_NHW + share_NHW * (turn_NHW - 2 * math.pi * torch.round(turn_NHW / (2 * math.pi)))
    lighter_N11 = target_lightness_N11 - statistics.lightness_N[:, None, None]
    # 4 L (1 - L) is 1 in the middle and 0 at black and white, so that outlines and highlights do not change.
    middle_NHW = 4 * lightness_NHW * (1 - lightness_NHW).clamp(min=0)
    lit_NHW = (lightness_NHW + share_NHW * _LIGHTNESS_TAKEN * lighter_N11 * middle_NHW).clamp(0, 1)
    dulled_NHW = torch.where(is_brown_N11, chroma_NHW * (1 - _BROWN_CHROMA_LOST * share_NHW), chroma_NHW)
    rgb_N3HW = _within_srgb(torch.stack([lit_NHW, dulled_NHW * turned_NHW.cos(), dulled_NHW * turned_NHW.sin()], 1))

    alpha_N1HW = rgba_N4HW[:, 3:]
    color_N3HW = torch.minimum((rgb_N3HW * _alpha(rgba_N4HW) * 255).round(), alpha_N1HW.float())
    return torch.cat([color_N3HW.clamp(0, 255).to(torch.uint8), alpha_N1HW], 1)


def _within_srgb(lab_N3HW: Tensor) -> Tensor:
    """Straight sRGB of these colors; colors outside the gamut lose chroma rather than lightness."""
    rgb_N3HW = from_oklab(lab_N3HW)
    for _ in range(_GAMUT_STEPS):
        clipped_N3HW = to_oklab(rgb_N3HW)
        rgb_N3HW = from_oklab(torch.cat([lab_N3HW[:, :1], clipped_N3HW[:, 1:]], 1))
    return rgb_N3HW


def angle(radians: Tensor) -> Tensor:
    """The same angles in [-pi, pi)."""
    return torch.remainder(radians + math.pi, 2 * math.pi) - math.pi


def _alpha(rgba_N4HW: Tensor) -> Tensor:
    return rgba_N4HW[:, 3:].float() / 255


def _straight(rgba_N4HW: Tensor) -> Tensor:
    return (rgba_N4HW[:, :3].float() / 255 / _alpha(rgba_N4HW).clamp(min=1 / 255)).clamp(0, 1)
