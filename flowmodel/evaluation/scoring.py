"""All scores of a set of pictures, each of which stands for a real icon: samples and reference rows alike.

Shape suffixes: N pictures, M real icons, D feature width, H/W height and width.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from flowmodel.evaluation.distances import Products, fd, fd_infinity, kid
from flowmodel.evaluation.features import Features
from flowmodel.evaluation.memorisation import is_copy, neighbours
from flowmodel.evaluation.real import RealIcons, Rows
from flowmodel.evaluation.retrieval import found
from flowmodel.evaluation.transparency import alpha_error, alpha_iou

Scores = dict[str, float]
PerIcon = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Pictures:
    """Premultiplied uint8 pictures of the real icons' size, with their features.

    `own_rows` are the rows of the real icons that these are themselves, where they are real: no icon is to be found by itself.
    """

    rgba_N4HW: Tensor
    features: Features
    own_rows: Rows | None = None

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, numbers: Rows) -> "Pictures":
        own_rows = None if self.own_rows is None else self.own_rows[numbers]
        return Pictures(self.rgba_N4HW[numbers], self.features[numbers], own_rows)


class Scorer:
    """Scores pictures against the real icons; `train_rows` are those that the model was trained on."""

    def __init__(self, real: RealIcons, train_rows: Rows) -> None:
        self.real = real
        self._train = real.distinct(train_rows)

    def scores(self, pictures: Pictures, rows_N: Rows) -> tuple[Scores, PerIcon]:
        """Scores of pictures that stand for the real icons at `rows_N`, and those that every picture has of its own."""
        each = self.alignment(pictures, rows_N) | self.memorisation(pictures)
        return fidelity(self.real.features[rows_N], pictures.features) | means(each), each

    def alignment(self, pictures: Pictures, rows_N: Rows) -> PerIcon:
        """Is the prompted icon found again, among those drawn and among all? Is the silhouette its, where the model draws one?"""
        real = self.real
        layout_ND, layout_MD, labels_N = pictures.features.layout_ND, real.features.layout_ND, real.labels_M[rows_N]
        hits = {"top1_of_own": found(layout_ND, layout_MD[rows_N], labels_N, labels_N)}
        for k in (1, 5):
            hits[f"top{k}_of_all"] = found(layout_ND, layout_MD, real.labels_M, labels_N, k, pictures.own_rows)
        scores = {name: hit_N.astype(float) for name, hit_N in hits.items()}
        if real.colour != "rgba":
            return scores
        return scores | {
            "alpha_iou": alpha_iou(pictures.rgba_N4HW, real.rgba_M4HW[rows_N]),
            "alpha_error": alpha_error(pictures.rgba_N4HW, real.rgba_M4HW[rows_N]),
        }

    def memorisation(self, pictures: Pictures) -> PerIcon:
        """Which pictures are copies of a training icon?"""
        if len(self._train) < 3:
            return {}
        in_features = neighbours(pictures.features.layout_ND, self.real.features.layout_ND[self._train], self._itself(pictures))
        return {"copy_ratio": is_copy(in_features).astype(float)}

    def _itself(self, pictures: Pictures) -> Rows | None:
        """Which training icon each picture is itself; -1 where none."""
        if pictures.own_rows is None:
            return None
        place = np.full(len(self.real.ids), -1)
        place[self._train] = np.arange(len(self._train))
        return place[pictures.own_rows]


def fidelity(real: Features, fake: Features) -> Scores:
    """Distances of the two sets, as far as they are large enough."""
    if min(len(real), len(fake)) < 2:
        return {}
    products = Products.of(real.semantic_ND, fake.semantic_ND)
    interval = kid(products)
    return {
        "kid": interval.value,
        "kid_low": interval.low,
        "kid_high": interval.high,
        "fd": fd(products),
        "fd_infinity": fd_infinity(products),
    }


def means(each: Mapping[str, NDArray[np.float64]]) -> Scores:
    return {name: float(values_N.mean()) for name, values_N in each.items() if len(values_N)}
