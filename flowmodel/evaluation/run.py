"""Evaluates a checkpoint: compares its samples with the real icons (docs/evaluation.md).

Shape suffixes: S seeds, N samples, H/W height and width.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flowmodel.data.dataset import IconDataset
from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.aggregate import SeedScores, by_group, over_seeds
from flowmodel.evaluation.baselines import Baselines
from flowmodel.evaluation.caption_probe import load_caption_probe, read_caption_probe
from flowmodel.evaluation.clip import load_clip
from flowmodel.evaluation.features import FeatureExtractor, Features, load_extractor
from flowmodel.evaluation.losses import losses
from flowmodel.evaluation.metrics.coverage import NEIGHBORS
from flowmodel.evaluation.metrics.distances import CONFIDENCE
from flowmodel.evaluation.metrics.memorization import COPY_THRESHOLD
from flowmodel.evaluation.real_icons import RealIcons, Rows
from flowmodel.evaluation.report import (
    METRICS_FILE,
    EvaluationReport,
    FinisherSettings,
    NearCopy,
    Scores,
    Settings,
    SplitScores,
    Thresholds,
)
from flowmodel.evaluation.samples import Samples, save_samples
from flowmodel.evaluation.scoring import Images, Scorer
from flowmodel.evaluation.sweeps import sweeps
from flowmodel.evaluation.traced import traced_scores
from flowmodel.files import Artifact, sha256_json
from flowmodel.images.tensors import at_size
from flowmodel.model.checkpoint import Checkpoint, CheckpointHeader
from flowmodel.model.generator import Generator
from flowmodel.nets import count_parameters
from flowmodel.recipes.schema import EvaluationConfig
from flowmodel.recipes.split import Split

SAMPLES_FILE = "samples.npz"

_CHOICE_SEED = 20_231_204  # seed of the choice of icons, independent of the seeds of the samples


@dataclass(frozen=True)
class Evaluation:
    """`report` is the content of the file `metrics`. `real`, and `features` of the samples of the first seed, save an HTML
    report from computing them again.
    """

    report: EvaluationReport
    metrics: Artifact
    samples: Path
    real: RealIcons
    features: Features


def evaluate(
    checkpoint: Checkpoint,
    dataset: IconDataset,
    folder: Path,
    cache: Path,
    config: EvaluationConfig | None = None,
    with_sweeps: bool = False,
    log: Callable[[str], None] = lambda _: None,
    probe: Path | None = None,
) -> Evaluation:
    """Generate a sample per seed for each training and held-out icon from its caption, and score them.

    If the model has a finisher, finished samples are scored and stored, at the size of the real icons. The unfinished samples
    are scored separately.

    A model for RGB or grayscale is compared with real icons in the same colors on white; its samples are opaque and have no
    scores of transparency. Scores of models with different color modes can't be compared.

    Writes `folder/metrics.json` and `folder/samples.npz`. Features of the real icons are cached in `cache`.

    Args:
        config: replaces the recipe's own.
        with_sweeps: also score other numbers of steps and guidance scales, on fewer icons (sweeps.py).
        probe: file of the data set's caption probe; by default the one in `cache`, which is trained the first time.

    Raises:
        FlowmodelError: the checkpoint is unreadable, an encoder or feature package is missing, or no icon is left to score.
    """
    generator = Generator.load(checkpoint)
    config = config or generator.recipe.evaluation
    extractor = load_extractor()
    log("computing features of the real icons")
    color = generator.recipe.data.color
    real = RealIcons.load(dataset, extractor, cache, color)
    ids_of = _choose(real, generator.header, config.max_icons)
    if len(ids_of.get(Split.TRAIN, [])) < 2:
        raise FlowmodelError(f"{checkpoint}: fewer than two of its training icons are in {dataset.folder}; nothing to score")
    rows_of = {split: real.rows(ids) for split, ids in ids_of.items()}

    samples, unfinished_SN4HW = _draw(generator, real, rows_of, config.seeds, log)
    samples_path = save_samples(folder / SAMPLES_FILE, samples)
    log("scoring")
    train_rows = real.rows(real.known(generator.header.seen_ids))
    if probe is not None:
        caption_probe = read_caption_probe(probe, dataset, real, extractor)
    else:
        caption_probe = load_caption_probe(dataset, real, extractor, cache, log=log)
    clip, why_not = load_clip(config.clip, dataset.encoder, generator.device)
    left_out = {}
    if clip is None:
        left_out["clip_similarity"] = why_not
        log(f"without clip_similarity: {why_not}")
    scorer = Scorer(real, train_rows, caption_probe, clip)
    seeds = [_score(scorer, Images(rgba_N4HW, extractor(rgba_N4HW)), samples, rows_of) for rgba_N4HW in samples.rgba_SN4HW]
    metrics, std = over_seeds(seeds)
    unfinished = None
    if generator.finisher:
        log("scoring the samples before the finisher")
        before = [_score(scorer, Images(x, extractor(x)), samples, rows_of, with_clip=False) for x in unfinished_SN4HW]
        scores_of = over_seeds(before)[0]
        unfinished = {split: SplitScores(count=len(rows_of[split]), **scores) for split, scores in scores_of.items()}
    lost = losses(generator, dataset)
    if lost.why_not:
        left_out["loss"] = lost.why_not
        log(f"without loss: {lost.why_not}")
    traced = None
    if config.traced_icons:
        of_train = Images(samples.rgba_SN4HW[0], seeds[0].features)[np.array(samples.of_split(Split.TRAIN))]
        traced = traced_scores(real, rows_of[Split.TRAIN], of_train, extractor, config.traced_icons, log)
    baselines = Baselines(scorer, rows_of, train_rows, extractor, cache).scores()
    if baselines.other_vendor is None:
        left_out["other_vendor"] = "no two sources of this data set have an icon of the same concept; add such a source"
    has_sweeps = with_sweeps and config.sweep_icons > 0
    report = EvaluationReport(
        metrics={
            split: SplitScores(count=len(rows_of[split]), **scores, **lost.of_split.get(split, {}))
            for split, scores in metrics.items()
        },
        std={split: Scores(**deviations) for split, deviations in std.items()},
        by_group=by_group(real, rows_of, seeds),
        baselines=baselines,
        unfinished=unfinished,
        traced=traced,
        settings=_settings(generator, dataset, scorer, extractor, config, ids_of, left_out),
        sweeps=sweeps(generator, scorer, extractor, rows_of, config.sweep_icons, config.seeds[0], log) if has_sweeps else None,
        prediction_error=lost.prediction_error or None,
    )
    return Evaluation(report, report.write(folder / METRICS_FILE), samples_path, real, seeds[0].features)


def _choose(real: RealIcons, header: CheckpointHeader, most: int) -> dict[Split, list[str]]:
    """Sorted ids to score, by split; at most `most` of each, in a fixed random choice.

    An icon that the model was trained on is never held out, whatever its split in this data set, because splits change with
    sources and releases.
    """
    chosen = {}
    for split in Split:
        ids = sorted(real.known(header.trained_ids) if split == Split.TRAIN else set(real.of_split(split)) - set(header.seen_ids))
        if len(ids) > most:
            ids = sorted(np.random.default_rng(_CHOICE_SEED).choice(ids, most, replace=False).tolist())
        if ids:
            chosen[split] = ids
    return chosen


def _draw(
    generator: Generator, real: RealIcons, rows_of: Mapping[Split, Rows], seeds: Sequence[int], log: Callable[[str], None]
) -> tuple[Samples, Tensor]:
    """Finished samples at the size of the real icons, and the unfinished samples: uint8 (S, N, 4, H, W)."""
    rows_N = np.concatenate(list(rows_of.values()))
    prompts = [real.prompts[row] for row in rows_N]
    drawn = []
    for number, seed in enumerate(seeds, start=1):
        log(f"sampling {len(rows_N)} icons, seed {number} of {len(seeds)}, {generator.nfe()} network evaluations each")
        drawn.append(generator.sample(prompts, seed=seed, finish=False))
    finished = [at_size(generator.finish(rgba_N4HW), real.rgba_M4HW.shape[-1]) for rgba_N4HW in drawn]
    samples = Samples(
        seeds=tuple(seeds),
        ids=tuple(real.ids[row] for row in rows_N),
        splits=tuple(split for split, rows in rows_of.items() for _ in rows),
        prompts=tuple(prompts),
        rgba_SN4HW=torch.stack(finished),
    )
    return samples, torch.stack(drawn)


def _score(scorer: Scorer, drawn: Images, samples: Samples, rows_of: Mapping[Split, Rows], with_clip: bool = True) -> SeedScores:
    numbers_of = {split: np.array(samples.of_split(split)) for split in rows_of}
    scored = {split: scorer.scores(drawn[numbers], rows_of[split], with_clip) for split, numbers in numbers_of.items()}
    return SeedScores(
        of_split={split: scores for split, (scores, _) in scored.items()},
        of_icons={split: each for split, (_, each) in scored.items()},
        features=drawn.features,
        numbers_of=numbers_of,
    )


def _settings(
    generator: Generator,
    dataset: IconDataset,
    scorer: Scorer,
    extractor: FeatureExtractor,
    config: EvaluationConfig,
    ids_of: Mapping[Split, list[str]],
    left_out: dict[str, str],
) -> Settings:
    real, probe, clip, header = scorer.real, scorer.probe, scorer.clip, generator.header
    seen = real.known(header.seen_ids)
    compared = [dataset.digest, extractor.digest, probe.artifact.digest, config.seeds, real.template, ids_of, real.color]
    return Settings(
        recipe=generator.recipe.name,
        color=real.color,
        checkpoint_digest=generator.checkpoint.digest,
        dataset_digest=dataset.digest,
        comparison_digest=sha256_json(compared),
        extractor=extractor.name,
        extractor_digest=extractor.digest,
        clip=clip.name if clip else None,
        clip_digest=clip.digest if clip else None,
        left_out=left_out,
        caption_probe_digest=probe.artifact.digest,
        caption_probe_quality=probe.quality,
        thresholds=Thresholds(
            copy_distance_ratio=COPY_THRESHOLD,
            near_copy=NearCopy(**asdict(scorer.threshold)) if scorer.threshold else None,
            neighbors=NEIGHBORS,
            confidence=CONFIDENCE,
        ),
        **generator.sampling().model_dump(),
        network_evaluations=generator.nfe(),
        ema=header.ema,
        training_steps=header.step,
        training_icons=len(seen),
        initial_icons=len(seen) - len(real.known(header.trained_ids)),
        parameters=generator.parameters,
        finisher=_finisher(generator),
        prompt_template=real.template,
        real_icons=len(real.ids),
        samples={split: len(ids) * len(config.seeds) for split, ids in ids_of.items()},
        seeds=config.seeds,
        device=generator.device,
    )


def _finisher(generator: Generator) -> FinisherSettings | None:
    own, network = generator.header.finisher, generator.finisher
    if own is None or network is None:
        return None
    return FinisherSettings(
        digest=own.digest, steps=own.config["steps"], parameters=count_parameters(network), scale=network.scale
    )
