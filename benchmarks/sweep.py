"""What the settings of a training do: `python -m benchmarks.sweep [--quick] [--sources FILE] [--json FILE]`.

One setting is changed at a time. Every variant sees equally many pictures, of a sixteenth of the concepts in all their
styles and skin tones, so that a training of minutes sees each icon often enough to tell variants apart. Averages of other
widths and other guidance are tried on the first variant's snapshots, which costs no training. All are MLflow runs nested in one.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import torch.nn.functional as F

from benchmarks.measure import print_rows, write_json
from flowmodel.data.captions import TEMPLATES
from flowmodel.data.dataset import IconDataset
from flowmodel.data.keys import base_key
from flowmodel.data.prepare import prepare
from flowmodel.evaluation.features import load_extractor
from flowmodel.evaluation.metrics.retrieval import ranks
from flowmodel.evaluation.real import RealIcons
from flowmodel.files import sha256_json, write_bytes
from flowmodel.images.tensors import from_unit, to_unit
from flowmodel.model.generator import Generator
from flowmodel.recipes import Recipe, load_recipe, parse_recipe
from flowmodel.registry.observer import MlflowObserver
from flowmodel.registry.runs import PARENT, TrainingRun
from flowmodel.store import PROJECT_ROOT, Store
from flowmodel.training.loop import SNAPSHOTS, train, training_folder
from flowmodel.training.post_hoc_ema import EmaSnapshots

_SIZE = 32  # at which all are scored
ICONS = 300  # that are
BASE = "base"
BATCH = 64
VARIANTS: dict[str, list[str]] = {
    BASE: [],
    "learning rate 1e-3": ["training.learning_rate=1.0e-3"],
    "learning rate 4e-3": ["training.learning_rate=4.0e-3"],
    "batch 32": ["training.batch_size=32"],
    "batch 128": ["training.batch_size=128"],
    "dropout 0.1": ["network.dropout=0.1"],
    "augmentation 0.15": ["training.augmentation.probability=0.15"],
    "captions: style only": ["data.captions=[name_style]"],
    "captions: every template": [f"data.captions=[{', '.join(TEMPLATES)}]"],
    "64 pixels, stem 4": ["data.size=64", "network.stem=4"],
}
EMA_WIDTHS = (0.02, 0.05, 0.1, 0.15)
GUIDANCE = (1.0, 1.5, 2.0, 3.0)


def _recipe(variant: str, pictures: int, selection: Path) -> Recipe:
    given = [
        f"data.size={_SIZE}",
        f"data.selection={selection}",
        "training.learning_rate=2.0e-3",
        f"training.batch_size={BATCH}",
        "training.warmup_steps=50",
        "training.augmentation.probability=0",
        "training.keep=last",
        "training.keep_snapshots=true",
        "training.validation={every: 1000000, icons: 64, times: 4}",
        "training.grid_every=1000000",
    ]
    values = load_recipe("laptop", [*given, *VARIANTS[variant]]).model_dump(mode="json")
    values["training"]["steps"] = pictures // values["training"]["batch_size"]
    return parse_recipe(values, where=variant)


def _everything(size: int) -> Recipe:
    return load_recipe("laptop", [f"data.size={size}", *VARIANTS["captions: every template"]])


def _select(dataset: IconDataset, share: int, out: Path) -> Path:
    """A list of one in `share` concepts, always the same, with all their skin tones."""
    keys = sorted({icon_id.partition("/")[2] for icon_id in dataset.ids})
    chosen = [key for key in keys if int(hashlib.sha256(base_key(key).encode()).hexdigest(), 16) % share == 0]
    write_bytes(out, "\n".join(chosen).encode())
    return out


def run_variant(variant: str, recipe: Recipe, sources: Path, store: Store, parent: str) -> list[dict[str, Any]]:
    """Rows of the variant; of the base also those of other averages and guidance."""
    dataset = prepare(recipe, store, sources)
    folder = training_folder(store, recipe, dataset)
    observer = MlflowObserver(store, dataset, {PARENT: parent, "variant": variant})
    result = train(recipe, dataset, folder, [observer])
    scorer = _Scorer(prepare(_everything(_SIZE), store, sources), store)
    assert observer.run is not None
    generator = Generator.load(result.checkpoint.path)
    row = {
        "variant": variant,
        "steps": recipe.training.steps,
        "images_per_second": median(observer.run.history("training/images_per_second")),
        "train_loss": observer.run.history("validation/train_loss")[-1],
        "validation_loss": observer.run.history("validation/loss")[-1],
        **scorer.score(generator),
    }
    observer.run.log_final_metrics({"sweep": {name: row[name] for name in scorer.NAMES}}, recipe.training.steps)
    rows = [row]
    if variant == BASE:
        for guidance in GUIDANCE:
            rows.append({"variant": f"guidance {guidance:g}"} | scorer.score(generator, guidance))
        for width in EMA_WIDTHS:
            rows.append({"variant": f"EMA {width:g}"} | scorer.score(_averaged(folder, result.checkpoint.path, width)))
    return rows


def _averaged(folder: Path, final: Path, width: float) -> Generator:
    """The trained model with the average of this width."""
    generator = Generator.load(final)
    generator.network.load_state_dict(EmaSnapshots(folder / SNAPSHOTS).reconstruct(generator.step, width))
    return generator


class _Scorer:
    """How often what a model draws of its icons finds them again among all."""

    NAMES = ("top1", "top5")

    def __init__(self, dataset: IconDataset, store: Store) -> None:
        self._extractor = load_extractor()
        self._real = RealIcons.load(dataset, self._extractor, store.root / "features")

    def score(self, generator: Generator, guidance: float | None = None) -> dict[str, float]:
        real = self._real
        rows = real.rows(sorted(real.known(generator.trained_ids)))
        rows = rows[:: max(1, len(rows) // ICONS)]
        drawn = generator.sample([real.prompts[row] for row in rows], guidance=guidance)
        if drawn.shape[-1] != _SIZE:
            drawn = from_unit(F.interpolate(to_unit(drawn), size=_SIZE, mode="area"))
        query_ND, labels_N = self._extractor(drawn).layout_ND, real.labels_M[rows]
        ranks_N = ranks(query_ND, real.features.layout_ND, real.labels_M, labels_N)
        return {name: float((ranks_N < k).mean()) for name, k in zip(self.NAMES, (1, 5), strict=True)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few steps each: whether it runs")
    parser.add_argument("--pictures", type=int, default=10_000, help="that every variant sees")
    parser.add_argument("--share", type=int, default=16, help="one in so many concepts")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="trainings at a time, of one thread each")
    parser.add_argument("--sources", type=Path, default=PROJECT_ROOT / "data/pretrained/sources.yaml")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    parser.add_argument("--only", metavar="VARIANT", help=argparse.SUPPRESS)  # a worker
    parser.add_argument("--parent", help=argparse.SUPPRESS)
    options = parser.parse_args()
    pictures = BATCH * 4 if options.quick else options.pictures
    store = Store.from_environment()
    selection = store.file("sweep", "selection.txt")
    if options.only:
        recipe = _recipe(options.only, pictures, selection)
        print(json.dumps(run_variant(options.only, recipe, options.sources, store, options.parent)))
        return 0
    for size in (64, _SIZE):
        dataset = prepare(_everything(size), store, options.sources)
    _select(dataset, options.share, selection)
    parent = TrainingRun.open(store, store.file("sweep", sha256_json([pictures, options.share])[:12]), "sweep of settings")
    parent.set_status("RUNNING")
    try:
        rows = list(_workers(options, parent.run_id))
    except BaseException as error:
        parent.set_status("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    parent.log_values({"rows": rows}, "sweep.json")
    parent.set_status("FINISHED")
    print_rows(rows, width=220)
    write_json(options.json, rows)
    return 0


def _workers(options: argparse.Namespace, parent: str) -> Iterator[dict[str, Any]]:
    """Rows in the order of the variants; each variant in a process of its own."""

    def work(variant: str) -> list[dict[str, Any]]:
        command = [sys.executable, "-m", "benchmarks.sweep", "--only", variant, "--parent", parent]
        command += [
            "--sources",
            str(options.sources),
            "--pictures",
            str(options.pictures),
            *(["--quick"] if options.quick else []),
        ]
        done = subprocess.run(
            command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, text=True, check=True, cwd=PROJECT_ROOT
        )
        rows: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
        print(json.dumps(rows), flush=True)
        return rows

    with ThreadPoolExecutor(options.workers) as pool:
        for rows in pool.map(work, VARIANTS):
            yield from rows


if __name__ == "__main__":
    sys.exit(main())
