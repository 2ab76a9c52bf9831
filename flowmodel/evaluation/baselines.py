"""Baselines: scores of other images than samples.

| row | image used in place of a sample |
|---|---|
| real | the icon itself or a held-out one: the best expected score of a model |
| noise | noise: the score of a model that has learned nothing |
| copies | the training icon with the caption most similar to the prompt: the score of pure memorization |
| other_vendor | another source's icon of the same concept: the score of an artist's redraw |

Shape suffixes: N images, M real icons, H/W height and width.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch.nn.functional as F
from sklearn.metrics.pairwise import cosine_similarity
from torch import Tensor

from flowmodel.evaluation.features import FeatureExtractor, cached_features
from flowmodel.evaluation.metrics.coverage import vendi_score
from flowmodel.evaluation.real_icons import RealIcons, Rows
from flowmodel.evaluation.report import BaselineScores, BySplit, SplitScores
from flowmodel.evaluation.scoring import Images, Scorer, fidelity, means
from flowmodel.files import sha256_bytes
from flowmodel.flow.sampler import seeded_noise
from flowmodel.images.tensors import CHANNELS, from_unit
from flowmodel.recipes.split import Split

_SEED = 0  # of noise and halves, which are not part of what is evaluated


class Baselines:
    """`rows_of` are the rows of the sampled icons, by split; `train_rows` are those of the training icons."""

    def __init__(
        self,
        scorer: Scorer,
        rows_of: Mapping[Split, Rows],
        train_rows: Rows,
        extractor: FeatureExtractor,
        cache: Path,
    ) -> None:
        self._scorer, self._rows_of, self._train_rows = scorer, rows_of, train_rows
        self._extractor, self._cache = extractor, cache

    @property
    def _real(self) -> RealIcons:
        return self._scorer.real

    def scores(self) -> BaselineScores:
        """The row other_vendor is missing if no two sources have icons of the same concept."""
        splits = self._rows_of.items()
        other_vendor: BySplit = {}
        for split, rows in splits:
            drawn, redraws = self._real.redrawn(rows)
            if len(drawn):
                other_vendor[split] = self._scored(self._real_images(redraws, are_themselves=True), drawn)
        return BaselineScores(
            real={split: self._real_icons(split) for split in self._rows_of},
            noise={split: self._scored(self._noise(len(rows)), rows) for split, rows in splits},
            copies={split: self._scored(self._real_images(self._nearest_caption(rows)), rows) for split, rows in splits},
            other_vendor=other_vendor or None,
        )

    def _scored(self, images: Images, rows: Rows) -> SplitScores:
        return SplitScores(count=len(rows), **self._scorer.scores(images, rows)[0])

    def _real_icons(self, split: Split) -> SplitScores:
        """Distances compare one half of the training icons with the other, and held-out icons with training icons. Alignment
        uses icons at half their resolution, the mildest degradation by a generator; texture uses the original icons, and
        memorization uses icons that were not trained on.
        """
        rows, features = self._rows_of[split], self._real.features
        if split == Split.TRAIN:
            shuffled = np.random.default_rng(_SEED).permutation(rows)
            real, test = shuffled[::2], shuffled[1::2]
        else:
            real, test = self._rows_of[Split.TRAIN], rows
        coarse = at_half_resolution(self._real.rgba_M4HW[rows])
        unseen = self._unseen() if split == Split.TRAIN else rows
        scores = (
            fidelity(features[real], features[test])
            | {"vendi": vendi_score(features.semantic_ND[rows])}
            | self._scorer.texture(self._real.rgba_M4HW[rows])
            | means(self._scorer.alignment(self._extracted(coarse), rows))
            | means(self._scorer.memorization(self._real_images(unseen)))
        )
        return SplitScores(count=len(rows), **scores)

    def _unseen(self) -> Rows:
        held_out = [rows for split, rows in self._rows_of.items() if split != Split.TRAIN]
        return np.concatenate(held_out) if held_out else np.zeros(0, dtype=int)

    def _real_images(self, rows: Rows, are_themselves: bool = False) -> Images:
        real = self._real
        return Images(real.rgba_M4HW[rows], real.features[rows], rows if are_themselves else None)

    def _noise(self, count: int) -> Images:
        size = self._real.rgba_M4HW.shape[-1]
        most = max(len(rows) for rows in self._rows_of.values())
        images = self._extracted(from_unit(seeded_noise(most, size, _SEED, channels=CHANNELS[self._real.color])))
        return Images(images.rgba_N4HW[:count], images.features[:count])

    def _extracted(self, rgba_N4HW: Tensor) -> Images:
        content = sha256_bytes(rgba_N4HW.contiguous().numpy().tobytes())
        return Images(rgba_N4HW, cached_features(content, rgba_N4HW, self._extractor, self._cache))

    def _nearest_caption(self, rows: Rows) -> Rows:
        """For each icon, the training icon with the most similar prompt; a training icon is its own match."""
        prompts_MD = self._real.prompts_MD
        nearest = self._train_rows[cosine_similarity(prompts_MD[rows], prompts_MD[self._train_rows]).argmax(axis=1)]
        return np.where(np.isin(rows, self._train_rows), rows, nearest)


def at_half_resolution(rgba_N4HW: Tensor) -> Tensor:
    half = F.avg_pool2d(rgba_N4HW.float(), 2)
    return F.interpolate(half, scale_factor=2, mode="bilinear").round().clamp(0, 255).to(rgba_N4HW.dtype)
