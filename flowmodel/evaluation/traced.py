"""Scores of traced samples, with those of their pixels.

The scores of a model are always those of its pixels. Shape suffixes: N images, H/W height and width.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from flowmodel.evaluation.features import FeatureExtractor
from flowmodel.evaluation.metrics.retrieval import ranks
from flowmodel.evaluation.real_icons import RealIcons, Rows
from flowmodel.evaluation.report import Scores, TracedScores
from flowmodel.evaluation.scoring import Images, fidelity
from flowmodel.images.rgba import premultiply
from flowmodel.vector.artwork import render
from flowmodel.vector.trace import Traced, trace


def traced_scores(
    real: RealIcons, rows_N: Rows, drawn: Images, extractor: FeatureExtractor, most: int, log: Callable[[str], None]
) -> TracedScores | None:
    """Trace samples of the real icons `rows_N`, and these icons themselves; at most `most` of each, evenly chosen.

    Returns None if there are fewer than two.
    """
    chosen = np.unique(np.linspace(0, len(rows_N) - 1, min(most, len(rows_N))).round().astype(int))
    if len(chosen) < 2:
        return None
    rows, pixels, started = rows_N[chosen], drawn[chosen], time.perf_counter()
    of_samples, of_real = trace_all(pixels.rgba_N4HW), trace_all(real.rgba_M4HW[torch.from_numpy(rows)])
    size = pixels.rgba_N4HW.shape[-1]
    scores = TracedScores(
        count=len(rows),
        pixels=scores_of(real, rows, pixels),
        drawn=scores_of(real, rows, extracted(of_samples, size, extractor)),
        real=scores_of(real, rows, extracted(of_real, size, extractor)),
        drawn_paths=median_paths(of_samples),
        real_paths=median_paths(of_real),
    )
    log(f"traced {len(rows)} samples and their real icons in {time.perf_counter() - started:.0f} s")
    return scores


def trace_all(rgba_N4HW: Tensor) -> list[Traced]:
    return [trace(rgba_4HW) for rgba_4HW in rgba_N4HW.numpy()]


def extracted(traced: Sequence[Traced], size: int, extractor: FeatureExtractor) -> Images:
    """Render traced icons with `size` pixels to an edge again."""
    images = [premultiply(np.asarray(render(one.svg(), size))).transpose(2, 0, 1) for one in traced]
    rgba_N4HW = torch.from_numpy(np.stack(images))
    return Images(rgba_N4HW, extractor(rgba_N4HW))


def median_paths(traced: Sequence[Traced]) -> float:
    return float(np.median([one.paths for one in traced]))


def scores_of(real: RealIcons, rows_N: Rows, images: Images) -> Scores:
    """Score images of the real icons `rows_N`: KID with its interval, and retrieval among all icons."""
    found_N = ranks(images.features.layout_ND, real.features.layout_ND, real.labels_M, real.labels_M[rows_N]) < 1
    of_set = fidelity(real.features[rows_N], images.features)
    return Scores(retrieval_top1_all=float(found_N.mean()), **{key: of_set[key] for key in ("kid", "kid_low", "kid_high")})
