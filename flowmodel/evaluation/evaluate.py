"""The report of a checkpoint: what it draws, compared with the real icons.

Shape suffixes: N samples, M real pictures, H/W height and width, D feature width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.features import FeatureExtractor, Features, cached_features, load_extractor
from flowmodel.evaluation.metrics import copy_ratio, kid, retrieval
from flowmodel.evaluation.samples import Samples, save_samples
from flowmodel.files import Artifact, read_parquet, sha256_json, write_json
from flowmodel.generate import Generator
from flowmodel.icons.splits import load_splits
from flowmodel.icons.tensors import IconTensors, load_tensors
from flowmodel.recipes.schema import EvaluationConfig
from flowmodel.training.inputs import TrainingInputs

METRICS_FILE = "metrics.json"
SAMPLES_FILE = "samples.safetensors"


@dataclass(frozen=True)
class Evaluation:
    """`report` is what the file `metrics` holds: `metrics`, `reference` and `settings`."""

    report: dict[str, Any]
    metrics: Artifact
    samples: Path


@dataclass(frozen=True)
class _Real:
    """Every real icon with its features. Icons that look exactly alike share a label."""

    ids: tuple[str, ...]
    rgba_M4HW: Tensor
    features: Features
    labels_M: np.ndarray

    @classmethod
    def load(cls, inputs: TrainingInputs, extractor: FeatureExtractor, cache: Path) -> "_Real":
        tensors: IconTensors = load_tensors(inputs.tensors.path)
        features = cached_features(inputs.tensors, tensors.rgba_N4HW, extractor, cache)
        _, labels_M = np.unique(tensors.rgba_N4HW.flatten(1).numpy(), axis=0, return_inverse=True)
        return cls(tensors.ids, tensors.rgba_N4HW, features, labels_M.reshape(-1))

    def rows(self, ids: Sequence[str]) -> np.ndarray:
        position = {icon_id: row for row, icon_id in enumerate(self.ids)}
        return np.array([position[icon_id] for icon_id in ids], dtype=int)


def evaluate(
    checkpoint: Path,
    inputs: TrainingInputs,
    folder: Path,
    cache: Path,
    trained_ids: Sequence[str] | None = None,
    config: EvaluationConfig | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> Evaluation:
    """Draw one sample for each trained icon and each icon of the split `unseen_concept`, by name, and score them.

    Writes `folder/metrics.json` and `folder/samples.safetensors`. Features of the real icons are kept in `cache`.

    Args:
        trained_ids: score on these as "trained" icons instead of the model's own: how a champion is compared with a
            challenger that was trained on others.
        config: in place of the recipe's own, for the same reason.

    Raises:
        FlowmodelError: the checkpoint is unreadable, an encoder or feature package is missing, or no icon is left to score.
    """
    generator = Generator.load(checkpoint)
    config = config or generator.recipe.evaluation
    extractor = load_extractor()
    log("features of the real icons")
    real = _Real.load(inputs, extractor, cache)

    known = set(real.ids)
    trained = _choose([i for i in trained_ids or generator.trained_ids if i in known], config)
    unseen = _choose(
        [i for i, split in load_splits(inputs.splits.path).items() if split == "unseen_concept" and i in known], config
    )
    if len(trained) < 2:
        raise FlowmodelError(f"{checkpoint}: fewer than two of its training icons are in {inputs.tensors.path}; nothing to score")

    names = _names(inputs)
    log(f"drawing {len(trained)} trained and {len(unseen)} unseen icons, {generator.nfe()} network evaluations each")
    ids = [*trained, *unseen]
    rgba_N4HW = generator.sample([names[i] for i in ids], seed=config.seed)
    samples_path = save_samples(folder / SAMPLES_FILE, Samples(tuple(ids), len(trained), tuple(names[i] for i in ids), rgba_N4HW))
    log("scoring")
    drawn = extractor(rgba_N4HW)
    all_trained_rows = real.rows([i for i in generator.trained_ids if i in known])

    report = {
        "metrics": {
            "trained": _scores(drawn[: len(trained)], real.rows(trained), real, all_trained_rows, config.seed),
            "unseen_concept": _scores(drawn[len(trained) :], real.rows(unseen), real, all_trained_rows, config.seed),
        },
        "reference": _reference(real, real.rows(trained), real.rows(unseen), all_trained_rows, extractor, config.seed),
        "settings": {
            "recipe": generator.recipe.name,
            "checkpoint_digest": generator.digest,
            "dataset_digest": inputs.digest,
            "comparison_digest": sha256_json([inputs.digest, extractor.digest, config.seed, trained, unseen]),
            "extractor": extractor.name,
            "extractor_digest": extractor.digest,
            **generator.sampling().model_dump(mode="json"),
            "network_evaluations": generator.nfe(),
            "ema": generator.header.ema,
            "training_steps": generator.step,
            "parameters": generator.parameters,
            "seed": config.seed,
            "device": generator.device,
        },
    }
    return Evaluation(report, Artifact.of(write_json(folder / METRICS_FILE, report)), samples_path)


def _choose(ids: Sequence[str], config: EvaluationConfig) -> list[str]:
    """At most `max_icons` of them, a random choice fixed by the seed; sorted."""
    if len(ids) <= config.max_icons:
        return sorted(ids)
    return sorted(np.random.default_rng(config.seed).choice(sorted(ids), config.max_icons, replace=False).tolist())


def _names(inputs: TrainingInputs) -> dict[str, str]:
    captions = read_parquet(inputs.captions.path, ["icon_id", "text", "template", "language"]).to_pandas()
    return captions[(captions["template"] == "name") & (captions["language"] == "en")].set_index("icon_id")["text"].to_dict()


def _scores(fake: Features, rows_N: np.ndarray, real: _Real, trained_rows: np.ndarray, seed: int) -> dict[str, float]:
    """Scores of samples drawn for the real icons at `rows_N`. NaN has no place in JSON: what can't be scored is left out."""
    scores: dict[str, float] = {"count": len(fake)}
    if len(fake) < 2:
        return scores
    scores["kid"], scores["kid_std"] = kid(real.features[rows_N].semantic_ND, fake.semantic_ND, seed=seed)
    scores |= _retrievals(fake, rows_N, real)
    scores["copy_ratio"] = copy_ratio(fake.layout_ND, _distinct(real, trained_rows))
    return scores


def _distinct(real: _Real, rows: np.ndarray) -> NDArray[np.float32]:
    """Layout features of the pictures at `rows`, each picture once: two equal neighbours would hide a copy."""
    _, first = np.unique(real.labels_M[rows], return_index=True)
    return real.features.layout_ND[rows[first]]


def _reference(
    real: _Real, trained: np.ndarray, unseen: np.ndarray, trained_rows: np.ndarray, extractor: FeatureExtractor, seed: int
) -> dict[str, dict[str, float]]:
    """What real pictures score: nothing can be expected to do better.

    KID: one half of the trained icons against the other; unseen real icons against trained ones. Retrieval: real icons at
    half their resolution, the mildest thing that a generator does to them. Copy ratio: unseen real icons, for both.
    """
    shuffled = np.random.default_rng(seed).permutation(trained)
    layout_MD = real.features.layout_ND
    copies = {"copy_ratio": copy_ratio(layout_MD[unseen], _distinct(real, trained_rows))} if len(unseen) else {}
    return {
        "trained": _kid_of_real(real, shuffled[::2], shuffled[1::2], seed) | _found_again(real, trained, extractor) | copies,
        "unseen_concept": _kid_of_real(real, trained, unseen, seed) | _found_again(real, unseen, extractor) | copies,
        "chance": {"top1_of_own": 1 / len(trained), "top1_of_all": 1 / len(real.ids), "top5_of_all": 5 / len(real.ids)},
    }


def _kid_of_real(real: _Real, rows: np.ndarray, other_rows: np.ndarray, seed: int) -> dict[str, float]:
    if min(len(rows), len(other_rows)) < 2:
        return {}
    mean, std = kid(real.features[rows].semantic_ND, real.features[other_rows].semantic_ND, seed=seed)
    return {"kid": mean, "kid_std": std}


def _found_again(real: _Real, rows: np.ndarray, extractor: FeatureExtractor) -> dict[str, float]:
    return _retrievals(extractor(_at_half_resolution(real.rgba_M4HW[rows])), rows, real) if len(rows) else {}


def _retrievals(fake: Features, rows_N: np.ndarray, real: _Real) -> dict[str, float]:
    """Top-1 and top-5 of pictures that stand for the real icons at `rows_N`, among those icons and among all."""
    layout_MD, labels_M, labels_N = real.features.layout_ND, real.labels_M, real.labels_M[rows_N]
    scores = {}
    for k in (1, 5):
        scores[f"top{k}_of_own"] = retrieval(fake.layout_ND, layout_MD[rows_N], labels_N, labels_N, k)
        scores[f"top{k}_of_all"] = retrieval(fake.layout_ND, layout_MD, labels_M, labels_N, k)
    return scores


def _at_half_resolution(rgba_N4HW: Tensor) -> Tensor:
    half = F.avg_pool2d(rgba_N4HW.float(), 2)
    return F.interpolate(half, scale_factor=2, mode="bilinear").round().clamp(0, 255).to(rgba_N4HW.dtype)
