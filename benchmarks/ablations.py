"""Ablations of single settings: `python -m benchmarks.ablations --out FOLDER [--quick] [--sources FILE] [--seeds 0 1] [--set
FIELD=VALUE]`.

One setting is changed at a time. Every variant is trained with each seed on the same number of images, of a sixteenth of the
concepts in all styles and skin tones, so that a training of minutes sees each icon often enough to distinguish variants.
Sampling settings and EMA widths are compared on the base's trainings. All variants are scored by KID and retrieval, on
training, validation and unseen icons, and compared with the base of the same seed.

Each training is a process of one thread; its rows are appended to FOLDER/rows.jsonl. The same command resumes.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.measure import EMOJI_SETS, Row, print_rows, read_rows, run_jobs
from flowmodel.data.captions import TEMPLATES
from flowmodel.data.dataset import IconDataset
from flowmodel.data.keys import base_key
from flowmodel.data.prepare import prepare
from flowmodel.evaluation.features import load_extractor
from flowmodel.evaluation.metrics.retrieval import ranks
from flowmodel.evaluation.real_icons import RealIcons
from flowmodel.evaluation.scoring import fidelity
from flowmodel.files import write_bytes
from flowmodel.images.tensors import from_unit, to_unit
from flowmodel.model.generator import Generator
from flowmodel.recipes import Recipe, load_recipe, parse_recipe
from flowmodel.recipes.schema import SamplingConfig
from flowmodel.recipes.split import Split
from flowmodel.store import Store
from flowmodel.training.loop import SNAPSHOTS, train
from flowmodel.training.observers import TrainingObserver
from flowmodel.training.post_hoc_ema import EmaSnapshots

ICONS = 300  # most icons per split to sample
BATCH = 32
BASE = "base"
SPLITS = (Split.TRAIN, Split.VALIDATION, Split.UNSEEN_CONCEPT)
_SIZE = 32
_SETTINGS = (
    f"data.size={_SIZE}",
    "data.captions=[name, name_style]",
    "training.learning_rate=2.0e-3",
    f"training.batch_size={BATCH}",
    "training.warmup_steps=50",
    "training.augmentation.probability=0",
    "training.keep_snapshots=true",
    "training.validation={every: 1000000, icons: 128, times: 8}",
    "training.sample_every=1000000",
    "training.checkpoint_every=100",
    "training.device=cpu",
)
VARIANTS: dict[str, tuple[str, ...]] = {
    BASE: (),
    "velocity prediction": ("objective.prediction=velocity",),
    "time mean 0": ("objective.logit_mean=0",),
    "uniform times": ("objective.time_distribution=uniform",),
    "min_noise 0.02": ("objective.min_noise=0.02",),
    "min_noise 0.1": ("objective.min_noise=0.1",),
    "augmentation 0.15": ("training.augmentation.probability=0.15",),
    "condition dropout 0": ("objective.cond_dropout=0",),
    "condition dropout 0.05": ("objective.cond_dropout=0.05",),
    "condition dropout 0.2": ("objective.cond_dropout=0.2",),
    "dropout 0.1": ("network.dropout=0.1",),
    "AdamW": ("training.optimizer=adamw",),
    "learning rate 1e-3": ("training.learning_rate=1.0e-3",),
    "learning rate 4e-3": ("training.learning_rate=4.0e-3",),
    "batch 64": ("training.batch_size=64",),
    "captions: style only": ("data.captions=[name_style]",),
    "captions: every template": (f"data.captions=[{', '.join(TEMPLATES)}]",),
    "64 pixels, stem 4": ("data.size=64", "network.patch_size=4"),
}
WITHOUT_GUIDANCE = "euler 8, guidance 1"
SAMPLINGS: dict[str, dict[str, Any]] = {
    "midpoint 4": {"solver": "midpoint", "steps": 4},
    "heun 4": {"solver": "heun", "steps": 4},
    "euler 16": {"steps": 16},
    "euler 8, time shift 0.7": {"time_shift": 0.7},
    WITHOUT_GUIDANCE: {"guidance": 1.0},
    "euler 8, guidance 3": {"guidance": 3.0},
    "euler 8, guidance 4 up to 0.5": {"guidance": 4.0, "guidance_interval": (0.0, 0.5)},
}
EMA_WIDTHS = (0.02, 0.1, 0.15)
# Rows of the base's training: name and changes.
DRAWN_ANEW = {f"sampling: {name}": changes for name, changes in SAMPLINGS.items()}
AVERAGED_ANEW = {f"EMA {width:g}": width for width in EMA_WIDTHS}
CHOICES = (*VARIANTS, *DRAWN_ANEW, *AVERAGED_ANEW)


def variant_recipe(
    variant: str, seed: int, images: int, selection: Path | str | None = None, settings: Sequence[str] = ()
) -> Recipe:
    """The recipe of a variant; its icons are those of `selection`, or all. `settings` hold for every variant."""
    values = load_recipe("laptop", [*_SETTINGS, *settings, *VARIANTS[variant]]).model_dump(mode="json")
    values["data"]["selection"] = selection and str(selection)
    values["training"] |= {"seed": seed, "steps": images // values["training"]["batch_size"]}
    return parse_recipe(values, where=variant)


def select(dataset: IconDataset, share: int, out: Path) -> Path:
    """A fixed list of one in `share` concepts, with all their skin tones."""
    keys = sorted({icon_id.partition("/")[2] for icon_id in dataset.ids})
    chosen = [key for key in keys if int(hashlib.sha256(base_key(key).encode()).hexdigest(), 16) % share == 0]
    write_bytes(out, "\n".join(chosen).encode())
    return out


class Scorer:
    """Scores samples: their distance from real icons, and retrieval of the prompted icon among all."""

    def __init__(self, dataset: IconDataset, cache: Path) -> None:
        self._extractor = load_extractor()
        self._real = RealIcons.load(dataset, self._extractor, cache)

    def score(self, generator: Generator, changes: Mapping[str, Any] | None = None) -> dict[str, float]:
        """`<split>_kid`, `<split>_top1` and `<split>_top5`, by the recipe's way of sampling with `changes`."""
        config = SamplingConfig.model_validate(generator.sampling().model_dump() | dict(changes or {}))
        real, scores = self._real, {}
        for split in SPLITS:
            ids = real.known(generator.trained_ids) if split == Split.TRAIN else real.of_split(split)
            rows = real.rows(sorted(ids))
            rows = rows[:: max(1, len(rows) // ICONS)]
            prompts = [real.prompts[row] for row in rows]
            firsts = range(0, len(prompts), 64)
            drawn = torch.cat([generator.draw(generator.encode(prompts[i : i + 64]), config, first=i) for i in firsts])
            if drawn.shape[-1] != _SIZE:
                drawn = from_unit(F.interpolate(to_unit(drawn), size=_SIZE, mode="area"))
            features = self._extractor(drawn)
            ranks_N = ranks(features.layout_ND, real.features.layout_ND, real.labels_M, real.labels_M[rows])
            scores[f"{split}_kid"] = fidelity(real.features[rows], features)["kid"]
            scores |= {f"{split}_top{k}": float((ranks_N < k).mean()) for k in (1, 5)}
        return scores


class _Loss(TrainingObserver):
    last: Mapping[str, float] = {}

    def on_validation(self, step: int, values: dict[str, float]) -> None:
        self.last = {"train_loss": values["train_loss"], "validation_loss": values["loss"]}


def run(
    variant: str, recipe: Recipe, dataset: IconDataset, scorer: Scorer, folder: Path, wanted: Container[str] = CHOICES
) -> Iterator[Row]:
    """Rows of a variant; for the base also the `wanted` rows of other sampling settings and averages."""
    loss, started = _Loss(), time.process_time()
    result = train(recipe, dataset, folder, [loss])
    seconds = time.process_time() - started
    generator = Generator.load(result.checkpoint.path)
    of_all = {"variant": variant, "seed": recipe.training.seed, "images": recipe.training.steps * recipe.training.batch_size}
    yield of_all | {"cpu_seconds": seconds} | dict(loss.last) | scorer.score(generator)
    if not recipe.objective.cond_dropout:  # guidance needs a network that was trained with dropped conditions
        yield of_all | {"variant": f"{variant}, guidance 1"} | scorer.score(generator, SAMPLINGS[WITHOUT_GUIDANCE])
    if variant != BASE:
        return
    for name, changes in DRAWN_ANEW.items():
        if name in wanted:
            yield of_all | {"variant": name} | scorer.score(generator, changes)
    for name, width in AVERAGED_ANEW.items():
        if name in wanted:
            generator.network.load_state_dict(EmaSnapshots(folder / SNAPSHOTS).reconstruct(generator.step, width))
            yield of_all | {"variant": name} | scorer.score(generator)


def overall(row: Row) -> tuple[float, float]:
    """KID and top-5 retrieval, each the mean of trained, validation and unseen icons."""
    kid, top5 = (fmean(row[f"{split}_{score}"] for split in SPLITS) for score in ("kid", "top5"))
    return kid, top5


def verdict(row_of_seed: Mapping[int, Row], base_of_seed: Mapping[int, Row]) -> str:
    """`better` or `worse` than the base if KID and retrieval agree for every seed, else empty."""
    gains: list[float] = []
    for seed, row in row_of_seed.items():
        (kid, top5), (base_kid, base_top5) = overall(row), overall(base_of_seed[seed])
        gains += [base_kid - kid, top5 - base_top5]
    return "better" if min(gains) > 0 else "worse" if max(gains) < 0 else ""


def summary(rows: Iterable[Row]) -> list[Row]:
    """A row per variant: means over its seeds, and the verdict."""
    of_variant: dict[str, dict[int, Row]] = {BASE: {}}
    for row in rows:
        of_variant.setdefault(row["variant"], {})[row["seed"]] = row
    base = of_variant[BASE]
    table = []
    for variant, of_seed in of_variant.items():
        compared = {seed: row for seed, row in of_seed.items() if seed in base}
        scores = [name for name, value in next(iter(of_seed.values())).items() if isinstance(value, float)]
        means = {name: fmean(row[name] for row in of_seed.values()) for name in scores}
        told = "" if variant == BASE or not compared else verdict(compared, base)
        table.append({"variant": variant, "seeds": len(of_seed), "verdict": told} | means)
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="of the trainings and rows.jsonl of these settings"
    )
    parser.add_argument("--quick", action="store_true", help="a few steps each, to test that it runs")
    parser.add_argument("--images", type=int, default=16_000, help="that every variant sees")
    parser.add_argument("--share", type=int, default=16, help="one in so many concepts")
    parser.add_argument(
        "--variants", nargs="+", default=list(CHOICES), choices=CHOICES, metavar="ROW", help="beside the base; default: all"
    )
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="FIELD=VALUE", help="of every variant's recipe, e.g. network.channels=[24,48,96]"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="trainings at a time, of one thread each")
    parser.add_argument("--sources", type=Path, default=EMOJI_SETS)
    parser.add_argument("--only", nargs=4, metavar=("VARIANT", "SEED", "DATASET", "SCORED"), help=argparse.SUPPRESS)  # a worker
    options = parser.parse_args()
    options.out = options.out.resolve()
    images = BATCH * 8 if options.quick else options.images
    store, selection, results = Store.from_environment(), options.out / "selection.txt", options.out / "rows.jsonl"
    if options.only:
        variant, seed, dataset, scored = options.only
        recipe = variant_recipe(variant, int(seed), images, selection, options.set)
        scorer = Scorer(IconDataset.open(Path(scored)), store.root / "features")
        folder = options.out / f"{variant.replace(' ', '-').replace(':', '').replace(',', '')}-{seed}"
        print(json.dumps(list(run(variant, recipe, IconDataset.open(Path(dataset)), scorer, folder, options.variants))))
        return 0
    datasets: dict[str, IconDataset] = {}
    variants = [BASE, *(name for name in options.variants if name in VARIANTS and name != BASE)]
    for variant in variants:
        recipe = variant_recipe(variant, 0, images, settings=options.set)
        same = (other for other in datasets.values() if other.data == recipe.data)
        datasets[variant] = next(same, None) or prepare(recipe, store, options.sources, log=print)
    select(datasets[BASE], options.share, selection)
    done = read_rows(results)
    finished = {(row["variant"], row["seed"]) for row in done}
    jobs = [(variant, seed) for seed in options.seeds for variant in variants if (variant, seed) not in finished]
    command = [sys.executable, "-m", "benchmarks.ablations", "--out", str(options.out), "--images", str(images)]
    command += ["--variants", *options.variants] + (["--set", *options.set] if options.set else [])

    def worker(variant: str, seed: int) -> list[str]:
        return [*command, "--only", variant, str(seed), *(str(datasets[name].folder) for name in (variant, BASE))]

    run_jobs([worker(*job) for job in jobs], results, options.workers)
    print_rows(summary(read_rows(results)), width=260)
    return 0


if __name__ == "__main__":
    sys.exit(main())
