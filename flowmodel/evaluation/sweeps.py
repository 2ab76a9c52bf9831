"""Sweeps over solver steps and guidance: the same icons from the same noise with different settings.

Shape suffixes: N samples, H/W height and width.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowmodel.evaluation.features import FeatureExtractor
from flowmodel.evaluation.real_icons import Rows
from flowmodel.evaluation.report import ALL, AllSplits, GuidanceRow, Scores, StepsRow, Sweeps
from flowmodel.evaluation.scoring import Images, Scorer
from flowmodel.images.tensors import at_size
from flowmodel.model.generator import Generator
from flowmodel.recipes.split import Split

STEPS = (1, 2, 4, 8, 16)
GUIDANCE = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)

# The reference solution: a solver of order 2 with a tenth of the error of as many Euler steps (docs/log.md).
ANSWER_SOLVER, ANSWER_STEPS = "midpoint", 16

_CHOICE_SEED = 20_231_204


def sweeps(
    generator: Generator,
    scorer: Scorer,
    extractor: FeatureExtractor,
    rows_of: Mapping[Split, Rows],
    icons: int,
    seed: int,
    log: Callable[[str], None] = lambda _: None,
) -> Sweeps:
    """Scores by number of steps (`nfe`) and by guidance scale (`guidance`); the recipe's own value is included and marked
    `is_own`.

    At most `icons` training icons and as many of held-out concepts are sampled. A row of `nfe` also has `distance`, the RMS
    difference from the reference solution as a fraction of the pixel range.
    """
    own = generator.sampling()
    chosen = {split: _some(rows_of[split], icons) for split in (Split.TRAIN, Split.UNSEEN_CONCEPT) if split in rows_of}
    rows_N = np.concatenate(list(chosen.values()))
    prompts = [scorer.real.prompts[row] for row in rows_N]
    splits_N = np.repeat(list(chosen), [len(rows) for rows in chosen.values()])

    def drawn(steps: int, guidance: float, solver: str = own.solver) -> Tensor:
        evaluations = generator.nfe(steps, guidance, solver)
        log(f"sweep: {len(prompts)} icons, {solver}, {steps} steps, guidance {guidance:g}, {evaluations} network evaluations")
        return at_size(generator.sample(prompts, seed, steps, guidance, solver), scorer.real.rgba_M4HW.shape[-1])

    def scored(rgba_N4HW: Tensor) -> dict[Split | AllSplits, Scores]:
        images = Images(rgba_N4HW, extractor(rgba_N4HW))
        parts: dict[Split | AllSplits, tuple[Images, Rows]] = {ALL: (images, rows_N)}
        parts |= {split: (images[np.flatnonzero(splits_N == split)], rows) for split, rows in chosen.items()}
        return {split: Scores(**scorer.scores(*part, with_clip=False)[0]) for split, part in parts.items()}

    answer = drawn(ANSWER_STEPS, own.guidance, ANSWER_SOLVER)
    nfe: list[StepsRow] = []
    for steps in _with(STEPS, own.steps):
        images = drawn(steps, own.guidance)
        nfe.append(
            StepsRow(
                steps=steps,
                network_evaluations=generator.nfe(steps, own.guidance),
                is_own=steps == own.steps,
                distance=distance(images, answer),
                scores=scored(images),
            )
        )
    guidance: list[GuidanceRow] = []
    for w in _with(GUIDANCE, own.guidance):
        of_own_steps = next((row for row in nfe if row.is_own and w == own.guidance), None)
        guidance.append(
            GuidanceRow(
                guidance=w,
                network_evaluations=generator.nfe(own.steps, w),
                is_own=w == own.guidance,
                scores=of_own_steps.scores if of_own_steps else scored(drawn(own.steps, w)),
            )
        )
    return Sweeps(nfe=tuple(nfe), guidance=tuple(guidance))


def distance(a_N4HW: Tensor, b_N4HW: Tensor) -> float:
    """RMS difference of premultiplied uint8 images, as a fraction of the pixel range."""
    difference = a_N4HW.to(torch.float64) - b_N4HW.to(torch.float64)
    return float(difference.square().mean().sqrt() / 255)


def _some(rows: Rows, most: int) -> Rows:
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(_CHOICE_SEED).choice(rows, most, replace=False))


def _with(values: Sequence[Any], own: Any) -> list[Any]:
    return sorted({*values, own})
