"""Compares what networks have learned after equal times: `python -m benchmarks.time_to_quality [--quick] [--json FILE]
[--image FILE]`.

All use the same icons, captions, objective, optimizer and random numbers. Each trains for `--minutes`, in turns of some
seconds, so that a machine that slows down affects all of them. The results are the loss on held-out icons over time, and how
often the real icon is the nearest one to a network's sample.

Losses can be compared only between networks with the same color mode, so the grayscale CNN is paired with our U-Net on the same
gray images.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from benchmarks.measure import write_json
from benchmarks.networks import DiffusersUNet, is_installed
from flowmodel.data.dataset import IconDataset
from flowmodel.data.prepare import prepare
from flowmodel.evaluation.features import FeatureExtractor, load_extractor
from flowmodel.evaluation.metrics.retrieval import ranks
from flowmodel.flow.sampler import sample, seeded_noise
from flowmodel.images.grid import image_grid
from flowmodel.images.rgba import to_image
from flowmodel.images.save import save_image
from flowmodel.images.tensors import CHANNELS, from_unit
from flowmodel.nets import count_parameters
from flowmodel.recipes import Recipe, load_recipe, parse_recipe
from flowmodel.store import Store
from flowmodel.training.state import TrainingState
from flowmodel.training.validation import Validation

OURS, OURS_GRAY, CNN = "ours", "ours, gray", "grayscale CNN"
TURN_SECONDS = 10.0
TRIALS = 3  # turns that measure the speed first
POINTS = 6  # points of the loss over time
SHOWN = ("red heart", "pizza", "cat face", "sun", "basketball", "house", "red apple", "key")


@dataclass
class Contestant:
    """One network in training; `curve` is (seconds, validation loss, training icons' loss)."""

    name: str
    state: TrainingState
    validation: Validation
    steps: int = 0
    seconds: float = 0.0
    done: int = 0
    curve: list[tuple[float, float, float]] = field(default_factory=list)

    def train(self, seconds: float) -> None:
        began = time.perf_counter()
        while self.done < self.steps and time.perf_counter() - began < seconds:
            self.state.step(self.done)
            self.done += 1
        self.seconds += time.perf_counter() - began

    def measure(self) -> None:
        losses = []
        for average in self.state.averages:
            with self.state.averaged_weights(average) as model:
                losses.append(self.validation.measure(model))
        best = min(losses, key=lambda values: values["loss"])
        self.curve.append((self.seconds, best["loss"], best["train_loss"]))

    def draw(self, icons_N: Tensor) -> Tensor:
        """Samples of the wider average for the first captions of these training icons."""
        recipe, data = self.state.recipe, self.state.data
        noise_NCHW = seeded_noise(len(icons_N), recipe.data.size, seed=0, channels=CHANNELS[recipe.data.color])
        with self.state.averaged_weights(self.state.averages[1]) as model:
            return torch.cat(
                [
                    sample(model, data.first_captions(icons_B), noise_BCHW, recipe.sampling)
                    for icons_B, noise_BCHW in zip(icons_N.split(64), noise_NCHW.split(64), strict=True)
                ]
            )

    def real(self) -> Tensor:
        """The training icons in this color mode, as perfect samples."""
        return from_unit(self.state.data.images(torch.arange(len(self.state.data)))).cpu()


@dataclass(frozen=True)
class Result:
    name: str
    color: str
    parameters: int
    steps: int
    seconds: float
    validation_loss: float
    train_loss: float
    top1: float
    top5: float
    curve: list[tuple[float, float, float]]


def _recipe(network: Mapping[str, Any] | None, color: str, size: int, steps: int) -> Recipe:
    values = load_recipe("laptop").model_dump(mode="json")
    values["data"] |= {"size": size, "color": color}
    values["network"] = dict(network) if network else values["network"]
    values["training"] |= {
        "steps": steps,
        "batch_size": 32,
        "learning_rate": 2e-3,
        "warmup_steps": 50,
        "validation": {"every": 1, "icons": 64, "times": 4},
    }
    return parse_recipe(values, where="benchmark")


def _entries(size: int) -> dict[str, tuple[Callable[[int], Recipe], Callable[[int, int], nn.Module] | None]]:
    """The recipe for a number of steps, and the network if it is not the recipe's."""
    dit = load_recipe("dit").network.model_dump(mode="json") | {"patch_size": size // 8}
    cnn = load_recipe("grayscale_cnn").network.model_dump(mode="json")
    entries: dict[str, tuple[Callable[[int], Recipe], Callable[[int, int], nn.Module] | None]] = {
        OURS: (partial(_recipe, None, "rgba", size), None)
    }
    if is_installed("diffusers"):
        entries["diffusers U-Net"] = (partial(_recipe, None, "rgba", size), partial(DiffusersUNet, size))
    entries |= {
        "DiT": (partial(_recipe, dit, "rgba", size), None),
        OURS_GRAY: (partial(_recipe, None, "grayscale", size), None),
        CNN: (partial(_recipe, cnn, "grayscale", size), None),
    }
    return entries


def _contestants(size: int, dataset: IconDataset, seconds: float, console: Console) -> list[Contestant]:
    """With as many steps as the time allows, over which the learning rate decays."""
    entries = _entries(size)
    trials = {name: TrainingState(recipe(1_000), dataset, name, build) for name, (recipe, build) in entries.items()}
    speeds: dict[str, list[float]] = {name: [] for name in entries}
    for turn in range(TRIALS + 1):
        for name, trial in trials.items():
            speed = _steps_per_second(trial, min(TURN_SECONDS, seconds / 10))
            if turn > 0:  # the first is a warm-up
                speeds[name].append(speed)
    contestants = []
    for name, (recipe, build) in entries.items():
        steps = max(10, round(seconds * median(speeds[name])))
        state = TrainingState(recipe(steps), dataset, digest=name, build=build)
        validation = Validation(state.recipe, dataset, state.policy, state.data)
        contestants.append(Contestant(name, state, validation, steps))
        console.print(f"{name}: {count_parameters(state.network) / 1e6:.2f} M parameters, {steps} steps")
    return contestants


def _steps_per_second(state: TrainingState, seconds: float) -> float:
    began, steps = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < seconds:
        state.step(steps)
        steps += 1
    return steps / passed


def race(contestants: list[Contestant], console: Console) -> None:
    """Train all of them to their ends, in turns."""
    while any(c.done < c.steps for c in contestants):
        for c in contestants:
            before = c.done
            c.train(TURN_SECONDS)
            if before < c.done and c.done * POINTS // c.steps > before * POINTS // c.steps:
                c.measure()
                console.print(f"{c.name}: {c.seconds:.0f} s, step {c.done}, validation loss {c.curve[-1][1]:.4f}")


def score(contestant: Contestant, extractor: FeatureExtractor, samples: int) -> tuple[Result, Tensor]:
    """The result, and the samples."""
    data = contestant.state.data
    icons_N = torch.linspace(0, len(data) - 1, min(samples, len(data))).long()
    real_N4HW, drawn_N4HW = contestant.real(), contestant.draw(icons_N)
    _, labels_M = torch.unique(real_N4HW.flatten(1), dim=0, return_inverse=True)
    fake, real = extractor(drawn_N4HW).layout_ND, extractor(real_N4HW).layout_ND
    labels_N = labels_M[icons_N].numpy()
    ranks_N = ranks(fake, real, labels_M.numpy(), labels_N)
    result = Result(
        name=contestant.name,
        color=contestant.state.recipe.data.color,
        parameters=count_parameters(contestant.state.network),
        steps=contestant.steps,
        seconds=contestant.seconds,
        validation_loss=contestant.curve[-1][1],
        train_loss=contestant.curve[-1][2],
        top1=float((ranks_N < 1).mean()),
        top5=float((ranks_N < 5).mean()),
        curve=contestant.curve,
    )
    return result, drawn_N4HW


def _table(results: list[Result], size: int, device: str) -> Table:
    table = Table(
        *("network", "color", "parameters", "steps", "seconds", "validation loss", "training loss", "top-1", "top-5"),
        title=f"{size} x {size}, {device}; top-k: the right icon is among the k nearest of all that were trained on",
    )
    for r in results:
        losses = (f"{r.validation_loss:.4f}", f"{r.train_loss:.4f}")
        numbers = (f"{r.parameters / 1e6:.2f} M", f"{r.steps}", f"{r.seconds:.0f}", *losses, f"{r.top1:.1%}", f"{r.top5:.1%}")
        table.add_row(r.name, r.color, *numbers)
    return table


def _ours_wins(results: list[Result]) -> bool:
    by_name = {result.name: result for result in results}
    return all(
        by_name[mine].validation_loss < other.validation_loss and by_name[mine].top1 > other.top1
        for mine, color in ((OURS, "rgba"), (OURS_GRAY, "grayscale"))
        for other in results
        if other.color == color and other.name != mine
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="half a minute each")
    parser.add_argument("--minutes", type=float, default=6.0, help="training time of each network")
    parser.add_argument("--size", type=int, default=32, choices=[16, 32, 64], help="edge of the images")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    parser.add_argument("--image", type=Path, metavar="FILE", help="also draw some icons by each network into this PNG")
    options = parser.parse_args()
    seconds = 30.0 if options.quick else options.minutes * 60
    console = Console(width=150)
    with tempfile.TemporaryDirectory() as folder:
        dataset = prepare(_recipe(None, "rgba", options.size, 1), Store(Path(folder)))
        contestants = _contestants(options.size, dataset, seconds, console)
        race(contestants, console)
        extractor = load_extractor()
        results = [score(contestant, extractor, samples=100 if options.quick else 1_000)[0] for contestant in contestants]
        console.print(_table(results, options.size, contestants[0].state.policy.device))
        if options.image:
            _image(contestants, dataset, options.image)
    write_json(options.json, [asdict(result) for result in results])
    return 0 if options.quick or _ours_wins(results) else 1


def _image(contestants: list[Contestant], dataset: IconDataset, out: Path) -> None:
    """A row per network, below the real icons."""
    id_of = dict(zip(dataset.icons["name"], dataset.ids, strict=True))
    position = {icon_id: index for index, icon_id in enumerate(contestants[0].state.data.ids)}
    names = [name for name in SHOWN if id_of.get(name) in position]
    icons_N = torch.tensor([position[id_of[name]] for name in names])
    rows = [("real", contestants[0].real()[icons_N]), *((c.name, c.draw(icons_N)) for c in contestants)]
    images = [to_image(rgba_4HW) for _, rgba_N4HW in rows for rgba_4HW in rgba_N4HW]
    labels = [label if column == 0 else "" for label, _ in rows for column in range(len(names))]
    save_image(image_grid(images, columns=len(names), labels=labels), out)


if __name__ == "__main__":
    sys.exit(main())
