"""Sampling time, and the effect of fewer steps: `python -m benchmarks.sampling --model FILE [--quick] [--json FILE]`.

- latency of 1 and of 64 images by solver and number of network evaluations (NFE), without caption encoder
- quality against NFE: RMS pixel difference from the result of 256 Euler steps with the same noise (in units of the whole
  range), and KID against the real icons, of samples for training captions

With guidance each evaluation of the velocity counts twice.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from statistics import median

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.measure import write_json
from flowmodel.data.dataset import IconDataset
from flowmodel.data.prepare import prepare
from flowmodel.evaluation.features import load_extractor
from flowmodel.evaluation.metrics.distances import Products, kid
from flowmodel.flow.nfe import evaluations
from flowmodel.model.generator import Generator
from flowmodel.nets import TextCondition
from flowmodel.recipes.schema import SamplingConfig
from flowmodel.registry.references import resolve_model
from flowmodel.store import Store

BATCH = 64
REFERENCE_STEPS = 256


@dataclass(frozen=True)
class Point:
    solver: str
    steps: int
    guidance: float
    nfe: int
    seconds_1: float
    seconds_64: float
    rms: float
    kid: float


def _settings(recipe: SamplingConfig, budgets: Sequence[int]) -> Iterator[SamplingConfig]:
    """For each solver, the most steps within a budget of evaluations, without guidance and with the recipe's."""
    for guidance in dict.fromkeys((1.0, recipe.guidance)):
        for solver in ("euler", "midpoint", "heun"):
            seen = set()
            for budget in budgets:
                fitting = [
                    config
                    for steps in range(1, budget + 1)
                    if evaluations(config := _with(recipe, solver, steps, guidance)) <= budget
                ]
                if fitting and fitting[-1].steps not in seen:
                    seen.add(fitting[-1].steps)
                    yield fitting[-1]


def _with(recipe: SamplingConfig, solver: str, steps: int, guidance: float) -> SamplingConfig:
    return recipe.model_copy(update={"solver": solver, "steps": steps, "guidance": guidance})


def _seconds(generator: Generator, text: TextCondition, config: SamplingConfig, repeats: int) -> float:
    generator.draw(text, config)
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        generator.draw(text, config)  # ends on the CPU, so the device has finished
        times.append(time.perf_counter() - began)
    return median(times)


def _draw(generator: Generator, texts: Sequence[TextCondition], config: SamplingConfig) -> Tensor:
    firsts = accumulate((len(text) for text in texts), initial=0)
    return torch.cat([generator.draw(text, config, first=first) for text, first in zip(texts, firsts, strict=False)])


def measure(generator: Generator, dataset: IconDataset, icons: int, budgets: Sequence[int], console: Console) -> list[Point]:
    """Measure every setting on the names of `icons` training icons."""
    names = dict(zip(dataset.ids, dataset.icons["name"], strict=True))
    ids = [icon_id for icon_id in generator.trained_ids if icon_id in names]
    ids = [ids[int(number)] for number in torch.linspace(0, len(ids) - 1, min(icons, len(ids)))]
    texts = [generator.encode([names[i] for i in ids[first : first + BATCH]]) for first in range(0, len(ids), BATCH)]
    extractor = load_extractor()
    real_MD = extractor(dataset.rgba_N4HW[[dataset.row_of[icon_id] for icon_id in ids]]).semantic_ND
    points, exact = [], {}
    recipe = generator.recipe.sampling
    for config in _settings(recipe, budgets):
        if config.guidance not in exact:
            exact[config.guidance] = _draw(generator, texts, _with(config, "euler", REFERENCE_STEPS, config.guidance))
        drawn_N4HW = _draw(generator, texts, config)
        point = Point(
            solver=config.solver,
            steps=config.steps,
            guidance=config.guidance,
            nfe=evaluations(config),
            seconds_1=_seconds(generator, texts[0][:1], config, repeats=5),
            seconds_64=_seconds(generator, texts[0], config, repeats=1),
            rms=float((drawn_N4HW.float() - exact[config.guidance].float()).square().mean().sqrt() / 255),
            kid=kid(Products.of(real_MD, extractor(drawn_N4HW).semantic_ND)).value,
        )
        points.append(point)
        console.print(f"{point.solver}, guidance {point.guidance:g}, NFE {point.nfe}: RMS {point.rms:.4f}, KID {point.kid:.3f}")
    for guidance, drawn_N4HW in exact.items():
        value = kid(Products.of(real_MD, extractor(drawn_N4HW).semantic_ND)).value
        console.print(f"{REFERENCE_STEPS} Euler steps, guidance {guidance:g}: KID {value:.3f}")
    return points


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a checkpoint, or models:/NAME@alias; default: the champion")
    parser.add_argument("--quick", action="store_true", help="fewer icons and settings")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    options = parser.parse_args()
    console = Console(width=130)
    generator = Generator.load(resolve_model(Store.from_environment(), options.model), options.device)
    icons, budgets = (64, (1, 4, 16)) if options.quick else (256, (1, 2, 4, 8, 16, 32, 64))
    with tempfile.TemporaryDirectory() as folder:
        dataset = prepare(generator.recipe, Store(Path(folder)))
        points = measure(generator, dataset, icons, budgets, console)
    table = Table(*("guidance", "solver", "steps", "NFE", "1 image", "64 images", "RMS", "KID"))
    table.title = f"{generator.recipe.name}, {generator.recipe.data.size} x {generator.recipe.data.size}, {generator.device}"
    for p in points:
        times = (f"{p.seconds_1 * 1000:.0f} ms", f"{p.seconds_64 * 1000:,.0f} ms")
        table.add_row(f"{p.guidance:g}", p.solver, f"{p.steps}", f"{p.nfe}", *times, f"{p.rms:.4f}", f"{p.kid:.3f}")
    console.print(table)
    write_json(options.json, [asdict(point) for point in points])
    return 0


if __name__ == "__main__":
    sys.exit(main())
