"""Speed of normalizing icons and encoding captions: `python -m benchmarks.data [--quick] [--json FILE]`.

- normalize and write: the icons table of 64-pixel PNGs to `normalized_icons`, against Pillow decoding the same bytes; at that
  size, and at half of it, where every image is scaled (no limit)
- embed: MiniLM, against sentence-transformers on the same captions (needs `pip install -e '.[bench]'`)
- load: normalized icons from disk to a uint8 batch that is ready, against a torch DataLoader that decodes the PNGs
"""

import argparse
import io
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from benchmarks.measure import Comparison, compare, report
from flowmodel.data.normalize import normalize_icons
from flowmodel.files import read_parquet
from flowmodel.images.rgba import pixels
from flowmodel.store import PROJECT_ROOT
from flowmodel.tables import read_ok_icons

ICONS = PROJECT_ROOT / "data" / "bundled" / "noto.parquet"
BATCH = 64


def normalize_and_write(folder: Path, repeats: int, size: int = 64, limit: float | None = 2.5) -> Comparison:
    pngs = read_ok_icons(ICONS, ["png"])["png"].tolist()

    def pillow() -> None:
        for png in pngs:
            Image.open(io.BytesIO(png)).convert("RGBA").load()

    def ours() -> None:
        normalize_icons({"noto": ICONS}, size, folder / "normalized.parquet")

    what = f"normalize and write, 64 to {size} px" if size != 64 else "normalize and write, 64 px"
    return compare(what, ours, "Pillow, decoding only", pillow, len(pngs), repeats, limit)


class _Pngs(Dataset[torch.Tensor]):
    def __init__(self, pngs: list[bytes]) -> None:
        self._pngs = pngs

    def __len__(self) -> int:
        return len(self._pngs)

    def __getitem__(self, index: int) -> torch.Tensor:
        image = Image.open(io.BytesIO(self._pngs[index])).convert("RGBA").convert("RGBa")
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def load_an_epoch(folder: Path, repeats: int) -> Comparison:
    normalized = normalize_icons({"noto": ICONS}, 64, folder / "normalized.parquet")
    pngs = read_ok_icons(ICONS, ["png"])["png"].tolist()

    def ours() -> None:
        rgba_N4HW = torch.from_numpy(pixels(read_parquet(normalized.path, ["rgba"])["rgba"], 64))
        for rows_B in torch.randperm(len(rgba_N4HW)).split(BATCH):
            rgba_N4HW[rows_B]

    def loader() -> None:
        for _ in DataLoader(_Pngs(read_ok_icons(ICONS, ["png"])["png"].tolist()), batch_size=BATCH, shuffle=True):
            pass

    return compare("load an epoch of batches", ours, "DataLoader, decoding PNGs", loader, len(pngs), repeats, limit=1.0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions and captions")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    options = parser.parse_args()
    repeats = 3 if options.quick else 9
    with tempfile.TemporaryDirectory() as folder:
        comparisons = [normalize_and_write(Path(folder), repeats), normalize_and_write(Path(folder), repeats, 32, None)]
        comparisons.append(load_an_epoch(Path(folder), repeats))
    try:
        from benchmarks.embeddings import compare_embeddings

        comparisons.append(compare_embeddings(options.quick))
    except ImportError as error:
        print(f"embedding left out: {error}; pip install -e '.[bench]'", file=sys.stderr)
    return report(comparisons, options.json)


if __name__ == "__main__":
    sys.exit(main())
