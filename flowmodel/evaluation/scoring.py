"""All scores of a set of images, samples or baselines, each of which corresponds to a real icon.

Shape suffixes: N images, M real icons, D feature width, H/W height and width.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from flowmodel.evaluation.caption_probe import CaptionProbe
from flowmodel.evaluation.clip import Clip
from flowmodel.evaluation.features import Features
from flowmodel.evaluation.metrics.coverage import NEIGHBORS, coverage, vendi_score
from flowmodel.evaluation.metrics.distances import Products, fd, fd_infinity, kid
from flowmodel.evaluation.metrics.memorization import Neighbors, calibrate, is_authentic, is_copy, neighbors
from flowmodel.evaluation.metrics.retrieval import ranks
from flowmodel.evaluation.metrics.texture import texture
from flowmodel.evaluation.metrics.transparency import alpha_error, alpha_iou
from flowmodel.evaluation.real_icons import RealIcons, Rows
from flowmodel.recipes.split import Split

_FEWEST = 3  # training icons; a ratio of distances needs two besides the icon itself

Values = dict[str, float]  # scores by name; run.py converts them to `Scores`
PerIcon = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Images:
    """Premultiplied uint8 images of the real icons' size, with their features.

    `own_rows` are the rows of these images if they are real icons, so that retrieval excludes the icon itself.
    """

    rgba_N4HW: Tensor
    features: Features
    own_rows: Rows | None = None

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, numbers: Rows) -> "Images":
        own_rows = None if self.own_rows is None else self.own_rows[numbers]
        return Images(self.rgba_N4HW[numbers], self.features[numbers], own_rows)


class Scorer:
    """Scores images against the real icons.

    Attributes:
        real, probe, clip: models for the scores; without `clip` there is no CLIP similarity.
        threshold: threshold of near copies, calibrated on real icons of the split `validation`; None if there are too few.
    """

    def __init__(self, real: RealIcons, train_rows: Rows, probe: CaptionProbe, clip: Clip | None = None) -> None:
        """`train_rows` are the icons that the model was trained on."""
        self.real = real
        self.clip = clip
        self.probe, self._captions_MD = probe, probe.captions(real.prompts_MD)
        self._train = real.distinct(train_rows)
        self._train_pixels = _pixels(real.rgba_M4HW[self._train])
        held_out = np.setdiff1d(real.rows(real.of_split(Split.VALIDATION)), train_rows)
        near = self._neighbors(Images(real.rgba_M4HW[held_out], real.features[held_out])) if len(held_out) else None
        self.threshold = calibrate(*near) if near else None

    def scores(self, images: Images, rows_N: Rows, with_clip: bool = True) -> tuple[Values, PerIcon]:
        """Scores of images for the real icons at `rows_N`, and scores of each image.

        If `with_clip` is False, CLIP similarity, which is by far the slowest, is omitted.
        """
        each = self.alignment(images, rows_N, with_clip) | self.memorization(images)
        of_set = fidelity(self.real.features[rows_N], images.features) | self.texture(images.rgba_N4HW)
        return of_set | means(each), each

    def alignment(self, images: Images, rows_N: Rows, with_clip: bool = True) -> PerIcon:
        """Alignment with the prompt: retrieval of the icon among those sampled, those of its source and all; the probe's rank
        of the prompt; CLIP similarity; and the overlap of silhouettes, if the model has transparency.
        """
        real = self.real
        layout_ND, layout_MD, labels_N = images.features.layout_ND, real.features.layout_ND, real.labels_M[rows_N]
        probed_ND = self.probe.images(images.features)
        sources_M = np.array(real.sources)
        of_source_NM = sources_M[rows_N][:, None] == sources_M
        of_own_N = ranks(layout_ND, layout_MD[rows_N], labels_N, labels_N)
        of_source_N = ranks(layout_ND, layout_MD, real.labels_M, labels_N, images.own_rows, of_source_NM)
        of_all_N = ranks(layout_ND, layout_MD, real.labels_M, labels_N, images.own_rows)
        probed_N = ranks(probed_ND, self._captions_MD, real.labels_M, labels_N)
        hits = {"retrieval_top1_split": of_own_N < 1, "retrieval_top1_source": of_source_N < 1}
        for k in (1, 5):
            hits |= {f"retrieval_top{k}_all": of_all_N < k, f"caption_probe_top{k}": probed_N < k}
        scores = {name: hit_N.astype(float) for name, hit_N in hits.items()}
        if self.clip and with_clip:
            scores["clip_similarity"] = self.clip.similarity(images.rgba_N4HW, [real.prompts[row] for row in rows_N])
        if real.color != "rgba":
            return scores
        return scores | {
            "alpha_iou": alpha_iou(images.rgba_N4HW, real.rgba_M4HW[rows_N]),
            "alpha_error": alpha_error(images.rgba_N4HW, real.rgba_M4HW[rows_N]),
        }

    def texture(self, rgba_N4HW: Tensor) -> Values:
        """Texture of the images, to compare with real icons; without transparency if the model has none."""
        scores = texture(rgba_N4HW)
        if self.real.color != "rgba":
            scores.pop("half_transparent", None)
        return scores

    def memorization(self, images: Images) -> PerIcon:
        """The images that are copies of a training icon; empty if there are too few training icons."""
        near = self._neighbors(images)
        if near is None:
            return {}
        in_features, in_pixels = near
        flags = {"copy_rate": is_copy(in_features), "copy_rate_pixels": is_copy(in_pixels)}
        if self.threshold:
            flags["near_copy_rate"] = self.threshold.flags(in_features, in_pixels)
        authentic_N = is_authentic(in_features, self._among_trained)
        return {name: flag_N.astype(float) for name, flag_N in flags.items()} | {
            "neighbor_ratio": in_features.ratio_N,
            "neighbor_ratio_pixels": in_pixels.ratio_N,
            "authentic_rate": authentic_N.astype(float),
        }

    @cached_property
    def _among_trained(self) -> Neighbors:
        layout_MD = self.real.features.layout_ND[self._train]
        return neighbors(layout_MD, layout_MD, np.arange(len(layout_MD)))

    def _neighbors(self, images: Images) -> tuple[Neighbors, Neighbors] | None:
        """The nearest training icons by features and by pixels; None if there are too few, or no images."""
        if len(self._train) < _FEWEST or not len(images):
            return None
        layout_MD, itself = self.real.features.layout_ND[self._train], self._itself(images)
        in_features = neighbors(images.features.layout_ND, layout_MD, itself)
        return in_features, neighbors(_pixels(images.rgba_N4HW), self._train_pixels, itself)

    def _itself(self, images: Images) -> Rows | None:
        """The training icon that each image is itself, or -1."""
        if images.own_rows is None:
            return None
        place = np.full(len(self.real.ids), -1)
        place[self._train] = np.arange(len(self._train))
        return place[images.own_rows]


def _pixels(rgba_N4HW: Tensor) -> NDArray[np.float32]:
    return rgba_N4HW.flatten(1).numpy().astype(np.float32)


def fidelity(real: Features, fake: Features) -> Values:
    """Distances and coverage of the two sets, if they are large enough."""
    if min(len(real), len(fake)) < 2:
        return {}
    products = Products.of(real.semantic_ND, fake.semantic_ND)
    interval = kid(products)
    scores = {
        "kid": interval.value,
        "kid_low": interval.low,
        "kid_high": interval.high,
        "fd": fd(products),
        "fd_infinity": fd_infinity(products),
        "vendi": vendi_score(fake.semantic_ND),
    }
    if min(len(real), len(fake)) > NEIGHBORS:
        scores |= asdict(coverage(_directions(real.semantic_ND), _directions(fake.semantic_ND)))
    return scores


def _directions(x_ND: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features scaled to length 1. Unscaled, noise would be within reach of every outlier and have a precision of 1."""
    return x_ND / np.maximum(np.linalg.norm(x_ND, axis=1, keepdims=True), np.finfo(np.float32).tiny)


def means(each: Mapping[str, NDArray[np.float64]]) -> Values:
    return {name: float(values_N.mean()) for name, values_N in each.items() if len(values_N)}
