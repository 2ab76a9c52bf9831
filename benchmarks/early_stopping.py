"""Measures the effect of `training.validation.patience`: `python -m benchmarks.early_stopping --out FOLDER [--seeds 0 1]`.

A network with random weights learns a few icons until it has memorized them. Validation measures both averages 24 times, and
snapshots are kept after the same steps. One training therefore gives the scores of the last weights and of the weights with the
lowest loss, with and without early stopping. All are scored as in `benchmarks.ablations`.

The rows of a seed are appended to FOLDER/early_stopping.jsonl; the same command continues where it was ended.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ablations import BASE, BATCH, Scorer, variant_recipe
from benchmarks.measure import Row, print_rows, read_rows
from flowmodel.data.dataset import IconDataset
from flowmodel.data.prepare import prepare
from flowmodel.model.generator import Generator
from flowmodel.recipes import Recipe
from flowmodel.store import PROJECT_ROOT, Store
from flowmodel.training.loop import SNAPSHOTS, train
from flowmodel.training.observers import TrainingObserver
from flowmodel.training.post_hoc_ema import EmaSnapshots

MEASUREMENTS = 24
PATIENCES = (2, 5, 10)


@dataclass(frozen=True)
class Measured:
    """The better average of a measurement: after which step, of which width, its loss on held-out and on trained icons."""

    step: int
    width: float
    loss: float
    train_loss: float


class _Measurements(TrainingObserver):
    """Includes the measurements of a training that was interrupted and resumed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_validation(self, step: int, values: dict[str, float]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([step, values["ema"], values["loss"], values["train_loss"]]) + "\n")

    def read(self) -> list[Measured]:
        measured = (Measured(*json.loads(line)) for line in self._path.read_text(encoding="utf-8").splitlines())
        of_step = {one.step: one for one in measured}
        return [of_step[step] for step in sorted(of_step)]


def until_patience_ends(measured: Sequence[Measured], patience: int) -> Sequence[Measured]:
    """The measurements until `patience` of them in a row have brought no improvement; 0: all."""
    for count in range(1, len(measured) + 1):
        losses = [one.loss for one in measured[:count]]
        if 0 < patience < count - losses.index(min(losses)):
            return measured[:count]
    return measured


def measure(recipe: Recipe, dataset: IconDataset, scorer: Scorer, folder: Path) -> Iterator[Row]:
    """A row for the last weights and for those of the lowest loss, without patience and with each of PATIENCES.

    The recipe must keep snapshots after the steps that validation measures.
    """
    measurements, started = _Measurements(folder / "measurements.jsonl"), time.process_time()
    generator = Generator.load(train(recipe, dataset, folder, [measurements]).checkpoint)
    seconds = time.process_time() - started
    measured, scores = measurements.read(), {}
    for patience in (0, *PATIENCES):
        seen = until_patience_ends(measured, patience)
        best = min(seen, key=lambda one: one.loss)
        for keep, step, width in (("last", seen[-1].step, recipe.training.ema), ("best", best.step, best.width)):
            if (step, width) not in scores:
                generator.network.load_state_dict(EmaSnapshots(folder / SNAPSHOTS).reconstruct(step, width))
                scores[step, width] = scorer.score(generator)
            own = seen[-1] if keep == "last" else best
            yield {
                "keep": keep,
                "patience": patience,
                "seed": recipe.training.seed,
                "ended": seen[-1].step,
                "step": step,
                "width": width,
                "cpu_seconds": seconds * seen[-1].step / recipe.training.steps,
                "train_loss": own.train_loss,
                "validation_loss": own.loss,
            } | scores[step, width]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="of the trainings and early_stopping.jsonl")
    parser.add_argument("--steps", type=int, default=40 * MEASUREMENTS, help=f"a multiple of {MEASUREMENTS}")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--selection", default="well_known", metavar="LIST", help="the icons; a name or a path")
    parser.add_argument("--sources", type=Path, default=PROJECT_ROOT / "pipelines/sources.yaml")
    parser.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help="of the recipe")
    options = parser.parse_args()
    if options.steps % MEASUREMENTS:
        parser.error(f"--steps: {options.steps} is not a multiple of {MEASUREMENTS}")
    store, results = Store.from_environment(), options.out / "early_stopping.jsonl"
    settings = [
        f"training.ema_snapshots={MEASUREMENTS}",
        f"training.validation.every={options.steps // MEASUREMENTS}",
        *options.set,
    ]
    recipes = [
        variant_recipe(BASE, seed, options.steps * BATCH, options.selection, settings)
        for seed in options.seeds
        if seed not in {row["seed"] for row in read_rows(results)}
    ]
    if recipes:
        dataset = prepare(recipes[0], store, options.sources, log=print)
        scorer = Scorer(dataset, store.root / "features")
    for recipe in recipes:
        rows = list(measure(recipe, dataset, scorer, options.out / f"early-stopping-{recipe.training.seed}"))
        with results.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(row) + "\n" for row in rows))
    print_rows(read_rows(results), width=260)
    return 0


if __name__ == "__main__":
    sys.exit(main())
