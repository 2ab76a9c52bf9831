"""Quality and number of shapes of traced icons: `python -m benchmarks.vector [--model M] [--icons N] [--image FILE]`.

Real icons of each set of the model, and samples of training icons with and without the finisher, are traced and rendered at
their own size. Scores of a model are always those of its pixels, next to those of the traced images. Fails if fewer than 95 of
100 real icons are still found, or samples have more than twice the shapes of real icons.

Shape suffixes: N images, H/W height and width.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.measure import EMOJI_SETS, print_rows, write_json
from flowmodel.data.prepare import prepare
from flowmodel.evaluation.features import FeatureExtractor, load_extractor
from flowmodel.evaluation.real_icons import RealIcons, Rows
from flowmodel.evaluation.scoring import Images
from flowmodel.evaluation.traced import extracted, scores_of, trace_all
from flowmodel.images.grid import labeled_rows
from flowmodel.images.rgba import to_image
from flowmodel.images.save import save_image
from flowmodel.model.generator import Generator
from flowmodel.registry.references import resolve_model
from flowmodel.store import Store
from flowmodel.vector.artwork import render
from flowmodel.vector.trace import Traced

_CHOICE_SEED = 0
_SHOWN, _STEP, _CELL = 6, 4, 160  # icons per set in the image, step between them, edge in pixels


def score(real: RealIcons, rows_N: Rows, rgba_N4HW: Tensor, extractor: FeatureExtractor) -> tuple[dict[str, Any], list[Traced]]:
    """Scores of images for the real icons `rows_N`, as pixels and traced."""
    began = time.perf_counter()
    traced = trace_all(rgba_N4HW)
    seconds = (time.perf_counter() - began) / len(traced)
    values: dict[str, Any] = {"icons": len(rows_N)}
    pixels, shapes = Images(rgba_N4HW, extractor(rgba_N4HW)), extracted(traced, rgba_N4HW.shape[-1], extractor)
    for name, images in (("", pixels), (" traced", shapes)):
        scores = scores_of(real, rows_N, images)
        values |= {f"top-1{name}": scores.retrieval_top1_all, f"KID{name}": scores.kid}
    for name in ("paths", "colors", "gradients"):
        values[name] = float(np.median([getattr(one, name) for one in traced]))
    return values | {"s an icon": seconds}, traced


def keeps_its_promise(table: Sequence[dict[str, Any]], source: str) -> bool:
    of = {row["images"]: row for row in table if row["set"] == source}
    return bool(of["real"]["top-1 traced"] >= 0.95 and of["drawn"]["paths"] <= 2 * of["real"]["paths"])


Shown = tuple[str, Rows, str, Tensor, list[Traced]]  # set, its icons, real or sampled, their images and the traced ones


def side_by_side(real: RealIcons, shown: Sequence[Shown]) -> Image.Image:
    """For some icons of each set, a row of pixels and a row of shapes, for real icons and samples."""
    pages = []
    for source in dict.fromkeys(row[0] for row in shown):
        rows, columns = [], slice(0, _SHOWN * _STEP, _STEP)
        for _, rows_N, name, rgba_N4HW, traced in (row for row in shown if row[0] == source):
            captions = [real.prompts[row].split(",")[0] for row in rows_N[columns]]
            pixels = [to_image(rgba_4HW).resize((_CELL, _CELL), Image.Resampling.NEAREST) for rgba_4HW in rgba_N4HW[columns]]
            shapes = [render(one.svg(), _CELL) for one in traced[columns]]
            paths = ", ".join(str(one.paths) for one in traced[columns])
            rows += [(name, ["pixels"], pixels), ("", ["shapes:", paths], shapes)]
        pages.append(labeled_rows(rows, captions, source, "pixels, what tracing makes of them, and in how many paths", _CELL))
    whole = Image.new("RGB", (max(page.width for page in pages), sum(page.height for page in pages)), "white")
    for number, page in enumerate(pages):
        whole.paste(page, (0, sum(before.height for before in pages[:number])))
    return whole


def measure(
    generator: Generator, real: RealIcons, icons: int, extractor: FeatureExtractor
) -> tuple[list[dict[str, Any]], list[Shown]]:
    """A row for each set and kind of images, and the images to show."""
    trained = set(generator.header.trained_ids)
    table: list[dict[str, Any]] = []
    shown: list[Shown] = []
    for source in sorted(set(real.sources)):
        of_source = zip(real.sources, real.ids, strict=True)
        rows = [row for row, (own, icon_id) in enumerate(of_source) if own == source and icon_id in trained]
        rows_N = np.sort(np.random.default_rng(_CHOICE_SEED).permutation(rows)[:icons])
        real_N4HW = real.rgba_M4HW[torch.from_numpy(rows_N)]
        drawn_N4HW = generator.sample([real.prompts[row] for row in rows_N], seed=0, finish=False)
        images = {"real": real_N4HW, "drawn": generator.finish(drawn_N4HW)}
        if generator.finisher:
            images["unfinished"] = drawn_N4HW
        for name, rgba_N4HW in images.items():
            values, traced = score(real, rows_N, rgba_N4HW, extractor)
            table.append({"set": source, "images": name} | values)
            if name != "unfinished":
                shown.append((source, rows_N, name, rgba_N4HW, traced))
    return table, shown


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pretrained")
    parser.add_argument("--sources", type=Path, default=EMOJI_SETS, help="sources that the model was trained on")
    parser.add_argument("--icons", type=int, default=100, help="most icons per set; a fixed random choice of training icons")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    parser.add_argument("--image", type=Path, metavar="FILE", help="also write real, drawn and traced icons side by side there")
    options = parser.parse_args()
    store, extractor = Store.from_environment(), load_extractor()
    generator = Generator.load(resolve_model(store, options.model))
    dataset = prepare(generator.recipe, store, options.sources, lambda line: print(line, file=sys.stderr))
    real = RealIcons.load(dataset, extractor, store.root / "features")
    table, shown = measure(generator, real, options.icons, extractor)
    print_rows(table, width=160)
    write_json(options.json, table)
    if options.image:
        save_image(side_by_side(real, shown), options.image)
    return 0 if all(keeps_its_promise(table, source) for source in {row["set"] for row in table}) else 1


if __name__ == "__main__":
    raise SystemExit(main())
