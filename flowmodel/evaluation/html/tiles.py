"""The images of a report as data URIs: samples next to real icons and nearest training icons.

Shape suffixes: N samples, M real icons, H/W height and width.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from torch import Tensor

from flowmodel.evaluation.features import Features
from flowmodel.evaluation.metrics.memorization import neighbors
from flowmodel.evaluation.real_icons import RealIcons, Rows
from flowmodel.evaluation.samples import Samples
from flowmodel.images.rgba import to_image
from flowmodel.images.save import png_bytes
from flowmodel.recipes.split import Split
from flowmodel.vector.trace import trace


@dataclass(frozen=True)
class ImageTag:
    """`uri` is the source of an `img`, `alt` its alternative text."""

    uri: str
    alt: str


@dataclass(frozen=True)
class Tile:
    """Images side by side with their prompt and a remark, such as the distance ratio of a near copy."""

    images: tuple[ImageTag, ...]
    prompt: str
    remark: str = ""
    is_near: bool = False


class Tiles:
    """Images of the first seed's samples; `features` are theirs, `train_rows` the icons that the model was trained on. A ratio
    below `near` marks a near copy.
    """

    def __init__(self, samples: Samples, features: Features, real: RealIcons, train_rows: Rows, near: float) -> None:
        self._samples, self._real = samples, real
        self._rows = real.rows(samples.ids)
        distinct = real.distinct(train_rows)
        self._nearest_N: Rows | None = None
        if len(distinct) >= 3:
            found = neighbors(features.layout_ND, real.features.layout_ND[distinct])
            self._nearest_N, self._ratio_N, self._is_near_N = distinct[found.rows_N], found.ratio_N, found.ratio_N < near

    def beside_real(self, split: str, count: int) -> list[Tile]:
        """The real icon and the sample, across the emoji groups."""
        return [Tile((self._real_one(n), self._sample(n)), self._samples.prompts[n]) for n in self._spread(split, count)]

    def as_shapes(self, split: str, count: int) -> list[Tile]:
        """The sample, the traced sample, and the traced real icon; the remark has the numbers of paths of the traced ones."""
        tiles = []
        for n in self._spread(split, count):
            prompt, sample_4HW = self._samples.prompts[n], self._samples.rgba_SN4HW[0, n]
            sample, real = trace(sample_4HW.numpy()), trace(self._real.rgba_M4HW[self._rows[n]].numpy())
            shapes = (
                ImageTag(svg_uri(sample.svg()), f"traced: {prompt}"),
                ImageTag(svg_uri(real.svg()), f"traced real icon: {prompt}"),
            )
            tiles.append(Tile((self._sample(n), *shapes), prompt, f"{sample.paths}, {real.paths}"))
        return tiles

    def beside_nearest(self, split: str, count: int) -> list[Tile]:
        """The real icon, the sample and its nearest training icon."""
        return [self._with_nearest(n) for n in self._spread(split, count)]

    def closest(self, count: int) -> list[Tile]:
        """Samples for held-out captions that are most similar to a training icon, the worst first."""
        if self._nearest_N is None:
            return []
        held_out = [n for n, split in enumerate(self._samples.splits) if split != Split.TRAIN]
        worst = sorted(held_out, key=lambda n: self._ratio_N[n])[:count]
        return [self._with_nearest(n, f"{self._ratio_N[n]:.2f}") for n in worst]

    def _with_nearest(self, n: int, remark: str = "") -> Tile:
        images = [self._real_one(n), self._sample(n)]
        if self._nearest_N is not None:
            row = self._nearest_N[n]
            images.append(image_tag(self._real.rgba_M4HW[row], f"nearest training icon: {self._real.prompts[row]}"))
        is_near = self._nearest_N is not None and bool(self._is_near_N[n])
        return Tile(tuple(images), self._samples.prompts[n], remark, is_near)

    def _real_one(self, n: int) -> ImageTag:
        return image_tag(self._real.rgba_M4HW[self._rows[n]], f"real icon: {self._samples.prompts[n]}")

    def _sample(self, n: int) -> ImageTag:
        return image_tag(self._samples.rgba_SN4HW[0, n], f"sample: {self._samples.prompts[n]}")

    def _spread(self, split: str, count: int) -> list[int]:
        """Indices of samples, taken from the groups in turn, so that every group is included."""
        numbers = self._samples.of_split(split)
        return spread(numbers, [self._real.groups[self._rows[n]] for n in numbers], count)


def spread(numbers: Sequence[int], groups: Sequence[str], count: int) -> list[int]:
    """At most `count` of the indices, from the groups in turn, evenly spaced within each; ascending."""
    by_group: dict[str, list[int]] = {}
    for number, group in zip(numbers, groups, strict=True):
        by_group.setdefault(group, []).append(number)
    share = -(-count // max(len(by_group), 1))
    evenly = [[members[i] for i in _evenly(len(members), share)] for members in by_group.values()]
    left_over = [
        [number for number in members if number not in taken] for members, taken in zip(by_group.values(), evenly, strict=True)
    ]
    in_turn = [n for round_ in (*zip_longest(*evenly), *zip_longest(*left_over)) for n in round_ if n is not None]
    return sorted(in_turn[:count])


def _evenly(length: int, count: int) -> list[int]:
    return np.unique(np.linspace(0, length - 1, min(length, count)).round().astype(int)).tolist()


def image_tag(rgba_4HW: Tensor, alt: str) -> ImageTag:
    return ImageTag(data_uri(png_bytes(to_image(rgba_4HW))), alt)


def svg_uri(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
