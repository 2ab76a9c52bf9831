"""Compares challenger and champion on held-out icons that neither was trained on, sampled from the same noise.

Shape suffixes: S seeds, N icons, M real icons, H/W height and width.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flowmodel.data.dataset import IconDataset
from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.caption_probe import CaptionProbe, load_caption_probe
from flowmodel.evaluation.features import FeatureExtractor, load_extractor
from flowmodel.evaluation.metrics.retrieval import ranks
from flowmodel.evaluation.real_icons import RealIcons, Rows
from flowmodel.images.tensors import at_size
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.model.generator import Generator
from flowmodel.recipes.schema import EvaluationConfig
from flowmodel.recipes.split import Split
from flowmodel.release.differences import Comparison, Difference
from flowmodel.release.intervals import Vector, interval, kid_terms, mean_interval, mean_of_pairs

FEWEST = 16  # fewest icons for a comparison
# Without validation, because a training may have chosen its weights by it.
_HELD_OUT = (Split.UNSEEN_CONCEPT, Split.UNSEEN_STYLE, Split.UNSEEN_TONE)
_CHOICE_SEED = 20_231_206  # of the choice of icons


@dataclass(frozen=True)
class _Drawn:
    """The scores of a model for each icon, averaged over the seeds; `terms_NN` as in :func:`kid_terms`."""

    terms_NN: NDArray[np.float64]
    retrieval_N: Vector
    probe_N: Vector

    @property
    def kid(self) -> float:
        return float(mean_of_pairs(self.terms_NN, np.ones((1, len(self.terms_NN))))[0])


def compare(
    challenger: Checkpoint,
    champion: Checkpoint,
    dataset: IconDataset,
    cache: Path,
    config: EvaluationConfig,
    log: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Score both models on held-out icons of `dataset` that neither was trained on, and bound the differences.

    There are three scores: KID; the rank of the right icon among all real icons, by similarity to the sample; and its rank
        among all captions, by the probe. A rank scores 1 - log(1 + rank) / log(1 + M), which is 1 if the right one is first and
        0 if it is last. Unlike a hit rate, this also distinguishes two weak models, or two strong ones.

    Args:
        cache: folder of the features of real icons and of the probe.
        config: seeds, and the maximum number of icons.

    Raises:
        FlowmodelError: the models have different color modes or sizes, fewer than 16 icons are left, or a model can't sample, for
            example because its caption encoder is not installed.
    """
    new, old = challenger.recipe.data, champion.recipe.data
    if new.color != old.color:
        raise FlowmodelError(f"its images are {new.color} and the champion's {old.color}, so that their scores can't be compared")
    if new.size != old.size:
        raise FlowmodelError(
            f"its images have {new.size} pixels and the champion's {old.size}, so that their scores can't be compared"
        )
    extractor = load_extractor()
    real = RealIcons.load(dataset, extractor, cache, new.color)
    rows_N = unseen_by(real, {*challenger.header.seen_ids, *champion.header.seen_ids}, config.max_icons)
    if len(rows_N) < FEWEST:
        raise FlowmodelError(f"only {len(rows_N)} held-out icons are new to both models, and {FEWEST} are needed")
    probe = load_caption_probe(dataset, real, extractor, cache, log=log)
    log(f"challenger and champion sample {len(rows_N)} icons that neither was trained on, {len(config.seeds)} times each")
    first, second = (_drawn(model, real, rows_N, probe, extractor, config.seeds) for model in (challenger, champion))
    terms_NN = first.terms_NN - second.terms_NN
    kid_bounds = interval(len(rows_N), lambda weights_RN: mean_of_pairs(terms_NN, weights_RN))
    pairs = {
        ("retrieval", "retrieval by features"): (first.retrieval_N, second.retrieval_N),
        ("caption_probe", "retrieval by the caption probe"): (first.probe_N, second.probe_N),
    }
    return Comparison(
        len(rows_N),
        (
            Difference("kid", "KID", True, first.kid, second.kid, *kid_bounds),
            *(
                Difference(*names, False, float(new_N.mean()), float(old_N.mean()), *mean_interval(new_N - old_N))
                for names, (new_N, old_N) in pairs.items()
            ),
        ),
    )


def unseen_by(real: RealIcons, seen: Iterable[str], most: int) -> Rows:
    """Rows of held-out icons that are not in `seen` and look like none of `seen`; one per concept, so that they are independent.

    At most `most` of them, in a fixed random choice.
    """
    looks = set(real.pixel_labels_M[real.rows(real.known(seen))].tolist())
    rows = [
        row for row in real.rows(sorted(icon_id for split in _HELD_OUT for icon_id in real.of_split(split)))
        if real.pixel_labels_M[row] not in looks
    ]  # fmt: skip
    shuffled = np.random.default_rng(_CHOICE_SEED).permutation(rows).astype(int)
    _, first = np.unique([real.keys[row] for row in shuffled], return_index=True)
    return np.sort(shuffled[np.sort(first)][:most])


def _drawn(
    checkpoint: Checkpoint,
    real: RealIcons,
    rows_N: Rows,
    probe: CaptionProbe,
    extractor: FeatureExtractor,
    seeds: tuple[int, ...],
) -> _Drawn:
    generator = Generator.load(checkpoint)
    prompts = [real.prompts[row] for row in rows_N]
    layout_MD, captions_MD = real.features.layout_ND, probe.captions(real.prompts_MD)
    labels_M, labels_N = real.labels_M, real.labels_M[rows_N]
    terms, retrieval, probed = [], [], []
    for seed in seeds:
        features = extractor(at_size(generator.sample(prompts, seed=seed), real.rgba_M4HW.shape[-1]))
        terms.append(kid_terms(real.features.semantic_ND[rows_N], features.semantic_ND))
        retrieval.append(_earliness(ranks(features.layout_ND, layout_MD, labels_M, labels_N), len(labels_M)))
        probed.append(_earliness(ranks(probe.images(features), captions_MD, labels_M, labels_N), len(labels_M)))
    return _Drawn(np.mean(terms, axis=0), np.mean(retrieval, axis=0), np.mean(probed, axis=0))


def _earliness(ranks_N: NDArray[np.integer], candidates: int) -> Vector:
    return np.asarray(1 - np.log1p(ranks_N) / np.log1p(candidates))
