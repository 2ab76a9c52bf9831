"""The real icons that samples are compared with: images, features, prompts, splits and groups.

Shape suffixes: M icons, N some of them, H/W height and width.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from flowmodel.data.dataset import IconDataset
from flowmodel.data.groups import groups
from flowmodel.evaluation.english_captions import Captions
from flowmodel.evaluation.features import FeatureExtractor, Features, cached_features
from flowmodel.files import sha256_json
from flowmodel.images.tensors import from_unit, to_unit
from flowmodel.recipes.schema import Color

Rows = NDArray[np.integer]


@dataclass(frozen=True)
class RealIcons:
    """The real icons; icon i has id `ids[i]`, prompt `prompts[i]` and so on.

    Attributes:
        color: rgba, rgb or grayscale. For a model without transparency, icons are composited on white, and converted to gray for
            grayscale, as in its training.
        template: template of the prompts of samples.
        prompts_MD: vectors of the prompts by the data set's caption encoder, L2-normalized.
        pixel_labels_M: equal for icons with identical images.
        labels_M: equal for icons that a sample can't distinguish, because they have identical images or the same prompt.
    """

    color: Color
    ids: tuple[str, ...]
    rgba_M4HW: Tensor
    features: Features
    captions: Captions
    template: str
    prompts: tuple[str, ...]
    prompts_MD: NDArray[np.float32]
    splits: tuple[str, ...]
    groups: tuple[str, ...]
    sources: tuple[str, ...]
    keys: tuple[str, ...]
    pixel_labels_M: NDArray[np.int64]
    labels_M: NDArray[np.int64]

    @classmethod
    def load(cls, dataset: IconDataset, extractor: FeatureExtractor, cache: Path, color: Color = "rgba") -> "RealIcons":
        """Read the icons; raises FlowmodelError when a prepared file can't be read."""
        rgba_M4HW, content = dataset.rgba_N4HW, dataset.pixels_digest
        if color != "rgba":
            rgba_M4HW = from_unit(to_unit(rgba_M4HW, color))
            content = sha256_json([content, color])
        features = cached_features(content, rgba_M4HW, extractor, cache)
        icons, ids = dataset.icons, dataset.ids
        captions = Captions.load(dataset)
        template, prompts, prompts_MD = captions.prompts(ids, several_sources=icons["source"].nunique() > 1)
        _, pixel_labels_M = np.unique(rgba_M4HW.flatten(1).numpy(), axis=0, return_inverse=True)
        return cls(
            color=color,
            ids=ids,
            rgba_M4HW=rgba_M4HW,
            features=features,
            captions=captions,
            template=template,
            prompts=tuple(prompts),
            prompts_MD=prompts_MD,
            splits=tuple(dataset.splits.get(icon_id, "") for icon_id in ids),
            groups=tuple(icons["group"]),
            sources=tuple(icons["source"]),
            keys=tuple(icons["key"]),
            pixel_labels_M=pixel_labels_M.reshape(-1),
            labels_M=_joined(pixel_labels_M.reshape(-1), prompts),
        )

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {icon_id: row for row, icon_id in enumerate(self.ids)}

    def known(self, ids: Iterable[str]) -> list[str]:
        return [icon_id for icon_id in ids if icon_id in self._row_of]

    def rows(self, ids: Sequence[str]) -> Rows:
        return np.array([self._row_of[icon_id] for icon_id in ids], dtype=int)

    def of_split(self, split: str) -> list[str]:
        return [icon_id for icon_id, own in zip(self.ids, self.splits, strict=True) if own == split]

    def distinct(self, rows: Rows) -> Rows:
        """The rows whose images differ from all earlier ones."""
        _, first = np.unique(self.pixel_labels_M[rows], return_index=True)
        return rows[np.sort(first)]

    def redrawn(self, rows: Rows) -> tuple[Rows, Rows]:
        """The rows whose key another source has too, and that source's icons: the first with a different image."""
        by_key: dict[str, list[int]] = {}
        for row, key in enumerate(self.keys):
            by_key.setdefault(key, []).append(row)
        pairs = []
        for row in rows:
            others = (o for o in by_key[self.keys[row]] if self.sources[o] != self.sources[row])
            redraw = next((o for o in others if self.pixel_labels_M[o] != self.pixel_labels_M[row]), None)
            if redraw is not None:
                pairs.append((row, redraw))
        rows_2N = np.array(pairs, dtype=int).reshape(-1, 2).T
        return rows_2N[0], rows_2N[1]


def _joined(pixel_labels_M: NDArray[np.int64], prompts: Sequence[str]) -> NDArray[np.int64]:
    looks, texts = [f"look {label}" for label in pixel_labels_M], [f"text {prompt}" for prompt in prompts]
    group_of = groups([*looks, *texts], zip(looks, texts, strict=True))
    _, labels_M = np.unique([group_of[look] for look in looks], return_inverse=True)
    return labels_M.reshape(-1)
