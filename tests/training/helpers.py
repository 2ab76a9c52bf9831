"""What several of these tests need."""

import os
import sys
from pathlib import Path

from flowmodel.recipes import Recipe, parse_recipe

# Sums are taken in another order with other numbers of threads.
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1"}

# Trains in a process of its own, with the exit codes of the command line; arguments: store, folder, overrides.
WORKER = """
import sys
from pathlib import Path
import flowmodel.cli
from flowmodel.recipes import load_recipe
from flowmodel.store import Store
from flowmodel.data.dataset import TrainingInputs
from flowmodel.training.loop import train

def run():
    store, folder, *overrides = sys.argv[1:]
    recipe = load_recipe("from_scratch", overrides)
    train(recipe, TrainingInputs.of(Store(Path(store)), recipe.data.size), Path(folder))

flowmodel.cli.app = run
if __name__ == "__main__":
    flowmodel.cli.main()
"""


def worker(store: Path, folder: Path, *overrides: str, before: str = "") -> list[str]:
    """The command of a training in a process of its own; `before` is Python that runs first."""
    return [sys.executable, "-c", before + WORKER, str(store), str(folder), *overrides]


def changed(recipe: Recipe, **sections: dict) -> Recipe:
    values = recipe.model_dump(mode="json")
    for section, changes in sections.items():
        values[section] |= changes
    return parse_recipe(values, "test")
