"""Helpers of several tests."""

import os
import sys
from pathlib import Path

from PIL import Image

from flowmodel.recipes import Recipe, parse_recipe
from flowmodel.training.observers import TrainingObserver, TrainingResult

# The order of sums depends on the number of threads.
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1"}

# Trains in a separate process, with the exit codes of the command line; arguments: data set, folder, overrides.
WORKER = """
import sys
from pathlib import Path
import flowmodel.cli
from flowmodel.recipes import load_recipe
from flowmodel.data.dataset import IconDataset
from flowmodel.training.loop import train

def run():
    dataset, folder, *overrides = sys.argv[1:]
    recipe = load_recipe("from_scratch", overrides)
    train(recipe, IconDataset.open(Path(dataset)), Path(folder))

flowmodel.cli.app = run
if __name__ == "__main__":
    flowmodel.cli.main()
"""


def worker(dataset: Path, folder: Path, *overrides: str, before: str = "") -> list[str]:
    """The command of a training in a separate process; `before` is Python code that runs first."""
    return [sys.executable, "-c", before + WORKER, str(dataset), str(folder), *overrides]


def changed(recipe: Recipe, **sections: dict) -> Recipe:
    values = recipe.model_dump(mode="json")
    for section, changes in sections.items():
        values[section] |= changes
    return parse_recipe(values, "test")


class Heard(TrainingObserver):
    """The events of a training; its `vars` can be written as JSON."""

    def __init__(self) -> None:
        self.losses: dict[str, float] = {}
        self.gradient_norms: dict[str, float] = {}
        self.grids = self.ends = 0
        self.failures: list[str] = []

    def on_log(self, step: int, values: dict[str, float]) -> None:
        self.losses[str(step)] = values["loss"]
        self.gradient_norms[str(step)] = values["gradient_norm"]

    def on_validation(self, step: int, values: dict[str, float]) -> None:
        self.losses[f"validation {step}"] = values["loss"]

    def on_grid(self, step: int, grid: Image.Image) -> None:
        self.grids += 1

    def on_end(self, result: TrainingResult) -> None:
        self.ends += 1

    def on_failure(self, error: BaseException) -> None:
        self.failures.append(str(error))
