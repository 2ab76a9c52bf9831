"""Compares samples of an exported model with PyTorch's: `python -m benchmarks.export_parity [--model PATH|pretrained]`.

Exports the model as a folder and as a page (which needs npm), and samples 60 prompts with each caption tower: 40 words of emoji
for which the page's tower was not calibrated, and 20 things that no emoji shows. The difference of an image is the mean
absolute one over its pixels, of 255 levels. Fails if an image of the folder's float32 tower differs by 1 level or more, or one
of the page by 2 or more. That the browser generates what `OnnxGenerator` does is tested in tests/export/test_page.py.

Shape suffixes: N prompts, 4 channels, H/W height and width.
"""

import argparse
import tempfile
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import print_rows, write_json
from flowmodel.export.model_export import export_model
from flowmodel.export.packed import CALIBRATED_EVERY
from flowmodel.export.web import MODEL, export_page
from flowmodel.model.generator import Generator
from flowmodel.registry.references import resolve_model
from flowmodel.runtime.model_folder import TOWERS, ModelFolder, Precision
from flowmodel.runtime.onnx_generator import OnnxGenerator
from flowmodel.store import Store
from flowmodel.text.translation import PATH, read_table

SEED = 11
LIMITS: dict[Precision, float] = {"float32": 1.0, "packed": 2.0}  # of the largest difference of an image
INVENTED = (
    *("lighthouse on a cliff", "old radio", "green teapot", "espresso machine", "wooden bridge", "blue owl with a hat"),
    *("robot gardener", "purple mushroom house", "stack of pancakes", "sleepy panda", "steam train in snow", "glass bottle"),
    *("red bicycle with a basket", "desert island", "knitted scarf", "retro computer", "tiny spaceship", "pirate map"),
    *("orange submarine", "paper crane"),
)


def prompts(styles: Sequence[str], emoji: int = 40) -> list[str]:
    """The prompts, in turn without a style and in each of `styles`."""
    words = sorted(read_table(PATH))
    unseen = [word for number, word in enumerate(words) if number % CALIBRATED_EVERY]
    chosen = [unseen[n] for n in np.linspace(0, len(unseen) - 1, emoji).astype(int)] + list(INVENTED)
    return [text + ending for text, ending in zip(chosen, cycle(["", *(f", {style} style" for style in styles)]), strict=False)]


def row(tower: Precision, folder: ModelFolder, texts: Sequence[str], expected_N4HW: NDArray[np.int16]) -> dict[str, Any]:
    found_N4HW = OnnxGenerator(folder, tower=tower).sample(texts, seed=SEED)
    levels_N = np.abs(found_N4HW - expected_N4HW).mean(axis=(1, 2, 3))
    return {
        "tower": tower,
        "tower_mb": folder.file(TOWERS[tower]).stat().st_size / 1e6,
        "mean": float(levels_N.mean()),
        "median": float(np.median(levels_N)),
        "p90": float(np.quantile(levels_N, 0.9)),
        "highest": float(levels_N.max()),
        "below_1": float((levels_N < 1).mean()),
        "worst": texts[int(levels_N.argmax())],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pretrained")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    options = parser.parse_args()
    store = Store.from_environment()
    checkpoint = resolve_model(store, options.model)
    generator = Generator.load(checkpoint, "cpu")
    with tempfile.TemporaryDirectory(prefix="flowmodel-") as work:
        exported = export_model(checkpoint, Path(work, "model"))
        page = Path(work, "page")
        export_page(exported, page, store.downloads, print)
        texts = prompts(exported.description.styles)
        expected_N4HW = generator.sample(texts, SEED).numpy().astype(np.int16)
        folders: dict[Precision, ModelFolder] = {"float32": exported, "int8": exported, "packed": ModelFolder.open(page / MODEL)}
        rows = [row(tower, folder, texts, expected_N4HW) for tower, folder in folders.items()]
    print_rows(rows, width=160)
    write_json(options.json, rows)
    return 0 if all(each["highest"] < LIMITS.get(each["tower"], np.inf) for each in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
