"""Quality as a function of solver steps and guidance: the same icons from the same noise with different settings.

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
from flowmodel.evaluation.scoring import Pictures, Scorer
from flowmodel.images.tensors import at_size
from flowmodel.model.generator import Generator
from flowmodel.recipes.split import Split

STEPS = (1, 2, 4, 8, 16)
GUIDANCE = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)

# Taken for the exact answer: of order 2, it errs by a tenth of what as many Euler steps do (docs/log.md).
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
    """Scores by number of steps (`nfe`) and by guidance scale (`guidance`), the recipe's own value among them, marked `is_own`.

    At most `icons` trained icons and as many of held-out concepts. A row of `nfe` also has `distance`: the root mean square
    difference from the exact answer, as a share of the range of a pixel.
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
        pictures = Pictures(rgba_N4HW, extractor(rgba_N4HW))
        parts: dict[Split | AllSplits, tuple[Pictures, Rows]] = {ALL: (pictures, rows_N)}
        parts |= {split: (pictures[np.flatnonzero(splits_N == split)], rows) for split, rows in chosen.items()}
        return {split: Scores(**scorer.scores(*part, with_clip=False)[0]) for split, part in parts.items()}

    answer = drawn(ANSWER_STEPS, own.guidance, ANSWER_SOLVER)
    nfe: list[StepsRow] = []
    for steps in _with(STEPS, own.steps):
        pictures = drawn(steps, own.guidance)
        nfe.append(
            StepsRow(
                steps=steps,
                network_evaluations=generator.nfe(steps, own.guidance),
                is_own=steps == own.steps,
                distance=distance(pictures, answer),
                scores=scored(pictures),
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
    """Root mean square difference of premultiplied uint8 pictures, as a share of a pixel's range."""
    difference = a_N4HW.to(torch.float64) - b_N4HW.to(torch.float64)
    return float(difference.square().mean().sqrt() / 255)


def _some(rows: Rows, most: int) -> Rows:
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(_CHOICE_SEED).choice(rows, most, replace=False))


def _with(values: Sequence[Any], own: Any) -> list[Any]:
    return sorted({*values, own})
