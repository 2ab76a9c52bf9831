"""Measures whether a model that was fine-tuned on a few icons generates other names in their style: `python -m
benchmarks.style_adoption SOURCES`.

SOURCES lists one icon set that the initial weights were not trained on. Random icons of it are used for training. Other names,
which the initial weights know from other sets, are sampled and retrieved among all icons of the set. The baselines are the
initial weights, by name and in each of their styles; the real icons of other sets with the same names (`--own`); and the
trained icons.

The search compares features of an ImageNet network (layout_ND, docs/decisions/features.md), which see style as well as shape: the
right shape in the wrong style is often not found. The real icons of other sets show how often.

Shape suffixes: N images, 4 channels (premultiplied RGBA), H/W height and width.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from benchmarks.measure import print_rows, write_json
from flowmodel.completion.complete import without_held_out_icons
from flowmodel.data.dataset import IconDataset
from flowmodel.data.prepare import prepare
from flowmodel.data.sources.source_list import load_sources
from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.features import FeatureExtractor, load_extractor
from flowmodel.evaluation.metrics.memorization import is_copy, neighbors
from flowmodel.evaluation.metrics.retrieval import ranks
from flowmodel.evaluation.metrics.texture import texture
from flowmodel.evaluation.metrics.transparency import alpha_iou
from flowmodel.evaluation.real_icons import RealIcons, Rows
from flowmodel.evaluation.scoring import fidelity
from flowmodel.images.grid import labeled_rows
from flowmodel.images.rgba import to_image
from flowmodel.images.save import save_image
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.model.generator import Generator
from flowmodel.recipes import Recipe, load_recipe
from flowmodel.store import Store
from flowmodel.training.finishing import finish
from flowmodel.training.initial import initial_checkpoint
from flowmodel.training.loop import train
from flowmodel.training.rehearsal import known_names

STYLES = ("noto", "twemoji", "fluent flat")  # three of those that the shipped weights know


@dataclass(frozen=True)
class Choice:
    """Rows of the set: `trained` are the icons to train on, `asked` the icons whose names are sampled."""

    trained: Rows
    asked: Rows


def choose(names: Sequence[str], known: Sequence[str], trained: int, asked: int, seed: int = 0) -> Choice:
    """A random choice of the icons called `names`. No asked icon has the name of a trained one, and all have one of `known`.

    Raises FlowmodelError when no such name is left.
    """
    random = np.random.default_rng(seed)
    trained_N = np.sort(random.choice(len(names), min(trained, len(names)), replace=False))
    suited = sorted(set(known) - {names[row] for row in trained_N})
    rows = [row for row, name in enumerate(names) if name in set(suited)]
    if not rows:
        raise FlowmodelError("the initial weights know none of the set's other names; choose a set of things that they know")
    return Choice(trained_N, np.sort(random.choice(rows, min(asked, len(rows)), replace=False)))


@dataclass(frozen=True)
class Judge:
    """Scores images that stand for icons of the set."""

    real: RealIcons
    names: Sequence[str]
    choice: Choice
    extractor: FeatureExtractor

    def __call__(self, images: str, rgba_N4HW: Tensor, rows_N: Rows) -> dict[str, Any]:
        features, real = self.extractor(rgba_N4HW), self.real
        ranks_N = ranks(features.layout_ND, real.features.layout_ND, real.labels_M, real.labels_M[rows_N])
        near = neighbors(features.layout_ND, real.features.layout_ND[self.choice.trained])
        textures = texture(rgba_N4HW)
        return {
            "images": images,
            "icons": len(rows_N),
            "top1": float((ranks_N < 1).mean()),
            "top5": float((ranks_N < 5).mean()),
            "kid": fidelity(real.features[rows_N], features)["kid"],
            "alpha_iou": float(alpha_iou(rgba_N4HW, real.rgba_M4HW[rows_N]).mean()),
            "flat_share": textures.get("flat_share", float("nan")),
            "edges": textures["edge_sharpness"],
            "copies": float(is_copy(near).mean()),
        }


def fine_tune(recipe: Recipe, dataset: IconDataset, ids: Sequence[str], folder: Path) -> tuple[Checkpoint, float]:
    """The recipe's training, and its finisher if it has one, on the icons `ids`; with its CPU seconds."""
    selection = folder / "selection.txt"
    folder.mkdir(parents=True, exist_ok=True)
    selection.write_text("".join(f"{icon_id.partition('/')[2]}\n" for icon_id in ids), encoding="utf-8")
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"selection": str(selection)})})
    started = time.process_time()
    trained = train(recipe, dataset, folder)
    finished = finish(recipe, trained.checkpoint, dataset)
    return finished.checkpoint, time.process_time() - started


def real_icons_of(own: IconDataset, names: Sequence[str], trained: Sequence[str]) -> dict[str, tuple[list[int], Tensor]]:
    """By source of `own`, the numbers of the `names` of which it has an icon among `trained`, and these icons, (N, 4, H, W)."""
    known, rows_of = set(trained), dict[tuple[str, str], int]()
    for row, (icon_id, source, name) in enumerate(zip(own.ids, own.icons["source"], own.icons["name"], strict=True)):
        if icon_id in known:
            rows_of.setdefault((source, name), row)
    found = {}
    for source in sorted({source for source, _ in rows_of}):
        numbers = [number for number, name in enumerate(names) if (source, name) in rows_of]
        if len(numbers) > 1:
            found[source] = numbers, own.rgba_N4HW[[rows_of[source, names[number]] for number in numbers]]
    return found


def measure(
    judge: Judge, before: Generator, after: Generator, style: str, styles: Sequence[str], own: IconDataset | None, seed: int = 0
) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """The rows of the table, and the samples by row."""
    choice, names_M = judge.choice, judge.names
    names = [names_M[row] for row in choice.asked]
    asked = {"by name": names} | {f"by name, {word} style": [f"{name}, {word} style" for name in names] for word in styles}
    own_style = f"by name, {style} style"
    images = {f"initial weights, {how}": before.sample(prompts, seed) for how, prompts in asked.items()}
    for how, prompts in ({"by name": names} | {own_style: [f"{name}, {style} style" for name in names]}).items():
        images[f"fine-tuned, {how}"] = after.sample(prompts, seed)
    rows = [judge(what, rgba_N4HW, choice.asked) for what, rgba_N4HW in images.items()]
    prompts = [f"{names_M[row]}, {style} style" for row in choice.trained]
    rows.append(judge("fine-tuned, its own icons", after.sample(prompts, seed), choice.trained))
    for source, (numbers, rgba_N4HW) in (real_icons_of(own, names, before.header.seen_ids) if own else {}).items():
        rows.append(judge(f"real icons of {source}", rgba_N4HW, choice.asked[numbers]))
    return rows, images


def image(real_N4HW: Tensor, images: dict[str, Tensor], names: Sequence[str], title: str, columns: int = 12) -> Image.Image:
    """Some real icons above samples of the same names."""
    numbers = np.linspace(0, len(names) - 1, min(columns, len(names))).astype(int)
    rows = [(what, (), [to_image(rgba_N4HW[n]) for n in numbers]) for what, rgba_N4HW in ({"real": real_N4HW} | images).items()]
    return labeled_rows(rows, [names[n] for n in numbers], title, "names that were not trained on", cell=96)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path, help="YAML list of one icon set")
    parser.add_argument("--recipe", default="finetune", help="one that starts from other weights")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="in place of the recipe's; repeatable")
    parser.add_argument("--icons", type=int, default=50, help="icons of the set to train on")
    parser.add_argument("--names", type=int, default=200, help="other names to draw")
    parser.add_argument("--styles", nargs="*", default=STYLES, help="style words of the initial weights")
    parser.add_argument("--own", type=Path, help="YAML list of the initial weights' own sources; adds rows of real icons")
    parser.add_argument("--out", type=Path, help="keep the checkpoint and an image in this folder")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    options = parser.parse_args()
    recipe = without_held_out_icons(load_recipe(options.recipe, options.set))
    if recipe.training.init_from is None:
        raise FlowmodelError(f"recipe '{recipe.name}': has no training.init_from; choose a recipe that starts from other weights")
    store, extractor = Store.from_environment(), load_extractor()
    [source] = load_sources(options.sources)
    dataset = prepare(recipe, store, options.sources, print)
    real, names = RealIcons.load(dataset, extractor, store.root / "features"), dataset.icons["name"].tolist()
    before = Generator.load(initial_checkpoint(recipe.training.init_from), recipe.training.device)
    judge = Judge(real, names, choose(names, known_names(before.header), options.icons, options.names), extractor)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.out or Path(temporary)
        checkpoint, seconds = fine_tune(recipe, dataset, [real.ids[row] for row in judge.choice.trained], folder)
        after = Generator.load(checkpoint, recipe.training.device)
        own = prepare(before.recipe, store, options.own, print) if options.own else None
        rows, images = measure(judge, before, after, source.style, options.styles, own)
        if options.out:
            asked = judge.choice.asked
            title = f"{source.name}: {len(judge.choice.trained)} icons trained on"
            save_image(image(real.rgba_M4HW[asked], images, [names[row] for row in asked], title), folder / "names.png")
    print(f"fine-tuning took {seconds:.0f} CPU seconds")
    print_rows(rows, width=160)
    write_json(options.json, {"seconds": seconds, "rows": rows})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
