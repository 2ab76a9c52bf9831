"""The arena: compares ideas for better images in equal time. `python -m benchmarks.quality --out FOLDER [--minutes 12]`

An idea is a row of recipe settings that are changed together. All train for `--minutes` of CPU time on one thread, for a number
of steps that follows from the measured speed. Other work on the machine therefore has no effect, and the learning rate decays
over the whole time. Each row has each of `--seeds`, one per processor in parallel.

There are three settings, all at 64 pixels: 203 icons from random weights, the same from the shipped ones, and all icons of three
sets from the shipped ones. There is none at 32 pixels, because the shipped weights have 64 and another stem would have to be
learned first (docs/log.md). The scores of `flowmodel evaluate` without sweeps are compared with the base of the same seed, as
in `python -m benchmarks.ablations`, which changes one switch at a time and counts images instead of minutes.

Rows are appended to FOLDER/rows.jsonl; the same command resumes, and other values of `--minutes` add rows for the second table:
the fewest minutes after which an idea reaches a quality.
"""

import argparse
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch

from benchmarks.ablations import BASE, SPLITS, summary
from benchmarks.measure import EMOJI_SETS, Row, print_rows, read_rows, run_jobs
from flowmodel.data.dataset import IconDataset
from flowmodel.data.prepare import prepare
from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.run import evaluate
from flowmodel.files import read_json, write_json
from flowmodel.flow.nfe import evaluations
from flowmodel.recipes import Recipe, load_recipe, parse_recipe
from flowmodel.recipes.schema import EvaluationConfig
from flowmodel.recipes.split import Split
from flowmodel.store import Store
from flowmodel.training.finisher import train_finisher
from flowmodel.training.finishing import finish
from flowmodel.training.loop import train
from flowmodel.training.pairs import Pairs
from flowmodel.training.prediction_error import by_name
from flowmodel.training.state import TrainingState

_OF_ALL = (
    "training.validation.every=0",
    "training.sample_every=1000000",
    "training.checkpoint_every=100",
    "training.device=cpu",
    "training.precision=float32",
    "finisher=null",
    # Ideas that the recipes have adopted since are included.
    "objective.gradient_weight=0",
    "objective.uniform_tail=0",
    "data.recolored=0",
    "training.augmentation={probability: 0}",
)
IDEAS: dict[str, tuple[str, ...]] = {
    BASE: (),
    "gradients 0.2": ("objective.gradient_weight=0.2",),
    "gradients 1": ("objective.gradient_weight=1",),
    "uniform tail 0.2": ("objective.uniform_tail=0.2",),
    "uniform tail 0.4": ("objective.uniform_tail=0.4",),
    "gradients 0.2, uniform tail 0.4": ("objective.gradient_weight=0.2", "objective.uniform_tail=0.4"),
    "time mean 0": ("objective.logit_mean=0",),
    "min_noise 0.02": ("objective.min_noise=0.02",),
    "recolored 0.12": ("data.recolored=0.12",),
    "augmentation 0.12": ("training.augmentation={probability: 0.12}",),
    "sampling later": ("sampling.time_shift=0.5",),
    "finisher": ("finisher={channels: 48, blocks: 5, batch_size: 8, drawings: 1}",),
}
_FINISHER_SHARE = 0.3  # fraction of the minutes for a finisher, including sampling its pairs
_TRIAL_STEPS, _WARM_UP = 6, 2
_SCORES = {"kid": "kid", "top1": "retrieval_top1_all", "top5": "retrieval_top5_all"} | {
    name: name for name in ("flat_share", "inner_variation", "edge_sharpness", "half_transparent", "color_count", "finest_band")
}
_SHOWN = ("kid", "top1", "top5", "flat_share", "edge_sharpness", "half_transparent")
_SHOWN_TIMES = (0.1, 0.5, 0.9, 0.95)
QUALITIES = (1.5, 1.0, 0.7, 0.5, 0.35, 0.25, 0.16)  # KID of trained icons; the shipped weights of 2026-11-25 had the last


@dataclass(frozen=True)
class Setting:
    """The common settings of all rows.

    Attributes:
        recipe: its name; it also sets the initial weights, unless `changes` do.
        changes: changed fields in all rows.
        sources: list of icon sets; None for the bundled one.
    """

    recipe: str
    changes: tuple[str, ...] = ()
    sources: Path | None = None


# As in the quickstart; the batch size of a large GPU would allow only ten steps here.
_GOES_ON = (
    "training.init_from=pretrained",
    "training.batch_size=32",
    "training.learning_rate=5.0e-4",
    "training.warmup_steps=20",
)
SETTINGS = {
    "scratch": Setting("from_scratch"),
    "quickstart": Setting("quickstart"),
    "shipped64": Setting("pretrained", _GOES_ON, EMOJI_SETS),
}


@dataclass(frozen=True)
class Speed:
    """CPU seconds per training step, a third of which is the forward pass, and per step of the finisher."""

    step: float
    finisher_step: float = 0.0

    def fitted(self, recipe: Recipe, dataset: IconDataset, minutes: float) -> Recipe:
        """`recipe` with as many steps as fit into `minutes`, including its finisher.

        Raises FlowmodelError if sampling the training icons for it takes all of that time.
        """
        values, seconds = recipe.model_dump(mode="json"), minutes * 60
        if recipe.finisher:
            share, seconds = _FINISHER_SHARE * seconds, (1 - _FINISHER_SHARE) * seconds
            icons = len(dataset.ids_of_split(Split.TRAIN, recipe.data))
            images = icons * recipe.finisher.drawings * evaluations(recipe.sampling)
            left = share - images * self.step / 3 / recipe.training.batch_size
            if left <= self.finisher_step:
                raise FlowmodelError(
                    f"sampling {icons} icons for the finisher takes longer than {share:.0f} s; give more --minutes"
                )
            values["finisher"] |= {"steps": round(left / self.finisher_step)}
        values["training"] |= {"steps": max(1, round(seconds / self.step))}
        return parse_recipe(values, where="arena")


def measured_speed(recipe: Recipe, dataset: IconDataset, folder: Path) -> Speed:
    """Measure a few steps in this process, on one thread."""
    torch.set_num_threads(1)
    state, seconds = TrainingState(recipe, dataset, "speed"), []
    for index in range(_WARM_UP + _TRIAL_STEPS):
        began = time.process_time()
        state.step(index)
        seconds.append(time.process_time() - began)
    step = median(seconds[_WARM_UP:])
    if recipe.finisher is None:
        return Speed(step)
    config = recipe.finisher.model_copy(update={"steps": 5 * _TRIAL_STEPS})
    icons_N4HW = dataset.rgba_N4HW[: config.batch_size]
    began = time.process_time()
    train_finisher(config, Pairs(icons_N4HW[None], icons_N4HW), state.policy, folder)
    return Speed(step, (time.process_time() - began) / config.steps)


def run(recipe: Recipe, dataset: IconDataset, scored: IconDataset, cache: Path, folder: Path, config: EvaluationConfig) -> Row:
    """Train, finish and evaluate: scores by split, as `train_kid`, and errors of the predicted image, as `train_t0.95`.

    `scored` has the same icons as `dataset`, and the captions of the base.
    """
    began = time.process_time()
    trained = train(recipe, dataset, folder)
    checkpoint = finish(recipe, trained.checkpoint, dataset).checkpoint
    minutes = (time.process_time() - began) / 60
    is_whole = trained.resumed_from is None and not trained.already_finished  # otherwise part of the time was spent before
    report = evaluate(checkpoint, scored, folder, cache, config).report
    row: Row = {"steps": recipe.training.steps, "cpu_minutes": minutes if is_whole else math.nan}
    for split in SPLITS:
        scores = report.metrics[split].measured
        row |= {f"{split}_{name}": scores[score] for name, score in _SCORES.items() if score in scores}
    return row | {name.replace("/", "_"): error for name, error in by_name(report.prediction_error or {}).items()}


def table(rows: Iterable[Row]) -> list[Row]:
    """A row per idea, for one setting and number of minutes: means over its seeds."""
    shown = [f"{split}_{score}" for split in (Split.TRAIN, Split.UNSEEN_CONCEPT) for score in _SHOWN]
    shown += [f"{split}_t{t:g}" for split in (Split.TRAIN, Split.VALIDATION) for t in _SHOWN_TIMES]
    kept = ("variant", "seeds", "verdict", "cpu_minutes", *shown)
    return [{name: row[name] for name in kept if name in row} for row in summary(rows)]


def leaderboard(rows: Sequence[Row]) -> list[Row]:
    """The fewest minutes after which an idea's mean KID of training icons is at most each of QUALITIES."""
    kid: dict[tuple[str, str, float], list[float]] = {}
    for row in rows:
        kid.setdefault((row["setting"], row["variant"], row["minutes"]), []).append(row["train_kid"])
    board = []
    for setting in dict.fromkeys(row["setting"] for row in rows):
        for quality in QUALITIES:
            reached = [
                (minutes, fmean(kids), idea)
                for (s, idea, minutes), kids in kid.items()
                if s == setting and fmean(kids) <= quality
            ]
            if reached:
                minutes, found, idea = min(reached)
                board.append({"setting": setting, "KID at most": quality, "minutes": minutes, "idea": idea, "its KID": found})
    return board


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="of the trainings and rows.jsonl")
    parser.add_argument("--minutes", type=float, default=12.0, help="of a processor, for each training")
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=SETTINGS)
    parser.add_argument("--ideas", nargs="+", default=list(IDEAS), choices=IDEAS, metavar="IDEA", help="beside the base")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--icons", type=int, default=64, help="that are scored of each split, at most")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="trainings at a time, of one thread each")
    parser.add_argument("--only", nargs=5, metavar=("SETTING", "IDEA", "SEED", "DATASET", "SCORED"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.out = options.out.resolve()
    speeds, results = options.out / "speeds.json", options.out / "rows.jsonl"
    store = Store.from_environment()
    if options.only:
        print(json.dumps([_one_row(options, read_json(speeds), store)]))
        return 0
    ideas = [BASE, *(idea for idea in options.ideas if idea != BASE)]
    known = read_json(speeds) if speeds.exists() else {}
    done = {(row["setting"], row["variant"], row["seed"], row["minutes"]) for row in read_rows(results)}
    command = [sys.executable, "-m", "benchmarks.quality", "--out", str(options.out), "--minutes", str(options.minutes)]
    command += ["--icons", str(options.icons), "--only"]
    jobs = []
    for name in options.settings:
        folders, fitting = _prepared(SETTINGS[name], ideas, store), []
        for idea in ideas:
            recipe, dataset = recipe_of(SETTINGS[name], idea), IconDataset.open(folders[idea])
            if f"{name}/{idea}" not in known:
                known[f"{name}/{idea}"] = asdict(measured_speed(recipe, dataset, options.out / "speed"))
                shutil.rmtree(options.out / "speed", ignore_errors=True)
                write_json(speeds, known)
            try:
                Speed(**known[f"{name}/{idea}"]).fitted(recipe, dataset, options.minutes)
                fitting.append(idea)
            except FlowmodelError as error:
                print(f"{name}, {idea}: left out, as {error}")
        jobs += [
            [*command, name, idea, str(seed), str(folders[idea]), str(folders[BASE])]
            for seed in options.seeds
            for idea in fitting
            if (name, idea, seed, options.minutes) not in done
        ]
    run_jobs(jobs, results, options.workers)
    rows = read_rows(results)
    for name in options.settings:
        own = [row for row in rows if (row["setting"], row["minutes"]) == (name, options.minutes)]
        print(f"{name}, {options.minutes:g} minutes")
        print_rows(table(own), width=260)
    if board := leaderboard(rows):
        print_rows(board, width=120)
    return 0


def recipe_of(setting: Setting, idea: str, seed: int = 0) -> Recipe:
    """Without its number of steps."""
    return load_recipe(setting.recipe, [*_OF_ALL, *setting.changes, f"training.seed={seed}", *IDEAS[idea]])


def _prepared(setting: Setting, ideas: Sequence[str], store: Store) -> dict[str, Path]:
    """The data set of each idea; most have the same one."""
    datasets: list[IconDataset] = []
    folders = {}
    for idea in ideas:
        recipe = recipe_of(setting, idea)
        same = next((dataset for dataset in datasets if dataset.data == recipe.data), None)
        if same is None:
            datasets.append(same := prepare(recipe, store, setting.sources, log=lambda line: print(line, file=sys.stderr)))
        folders[idea] = same.folder
    return folders


def _one_row(options: argparse.Namespace, speeds: dict[str, Any], store: Store) -> Row:
    name, idea, seed, *folders = options.only
    dataset, scored = (IconDataset.open(Path(folder)) for folder in folders)
    recipe = recipe_of(SETTINGS[name], idea, int(seed))
    recipe = Speed(**speeds[f"{name}/{idea}"]).fitted(recipe, dataset, options.minutes)
    config = EvaluationConfig(seeds=(1234, 1235), max_icons=options.icons, sweep_icons=0, clip="off")
    folder = options.out / f"{name}-{idea.replace(' ', '-').replace(',', '')}-{options.minutes:g}-{seed}"
    row = run(recipe, dataset, scored, store.root / "features", folder, config)
    return {"setting": name, "variant": idea, "seed": int(seed), "minutes": options.minutes} | row


if __name__ == "__main__":
    sys.exit(main())
