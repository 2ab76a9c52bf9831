"""Duplicate detection among very many icons: `python -m benchmarks.look_alikes [--icons 200000] [--size 64]`.

Makes a table of the bundled icons and of rotated, mirrored, recolored and combined ones, including 2,000 copies and 2,000 near
copies of one icon. Then the whole step `duplicates` runs in a separate process. Prints its time, its peak memory, and whether
the links among the bundled icons are the same as without the others. The tables take 4 GB of disk.

Shape suffixes: H = W = pixels, 4 channels (red, green, blue, alpha).
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import permutations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageOps

from flowmodel.data.duplicates import find_duplicates, load_clusters, load_links
from flowmodel.data.normalize import normalize_icons
from flowmodel.files import read_parquet, sha256_bytes
from flowmodel.images.rgba import pixels, premultiply, to_image
from flowmodel.store import PROJECT_ROOT
from flowmodel.tables import NORMALIZED_ICONS

BUNDLED = PROJECT_ROOT / "data" / "bundled" / "noto.parquet"
COPIES = 2000
_BATCH = 1000
_CHANNELS = list(permutations(range(3)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--icons", type=int, default=200_000)
    parser.add_argument("--size", type=int, default=64, help="their edge in pixels")
    parser.add_argument("--only", nargs=2, type=Path, help=argparse.SUPPRESS)  # for calling itself: table and links
    options = parser.parse_args()
    if options.only:
        print(json.dumps(_measured(*options.only)))
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        alone = normalize_icons({"noto": BUNDLED}, options.size, folder / "noto.parquet").path
        many, out = _write(alone, options.icons, options.size, folder / "many.parquet"), folder / "links.parquet"
        command = [sys.executable, "-m", "benchmarks.look_alikes", "--only", str(many), str(out)]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        links, clusters = load_links(out), load_clusters(out)
        among_bundled = [link for link in links if all(icon.startswith("noto/") for icon in link)]
        same = among_bundled == load_links(find_duplicates(alone, folder / "alone.parquet").path)
    print(
        f"{options.icons:,} icons of {options.size} pixels: {found['cpu']:.0f} s of the processor, {found['wall']:.0f} s by the "
        f"clock, at most {found['mib']:,.0f} MiB\n{len(clusters):,} icons look like another one: {len(links):,} links, "
        f"{len(set(clusters.values())):,} clusters, the largest of {max(Counter(clusters.values()).values()):,}\n"
        f"the links among the bundled icons are {'the same' if same else 'NOT the same'} as without the others"
    )
    return 0 if same else 1


def _measured(table: Path, out: Path) -> dict[str, float]:
    started = time.perf_counter()
    find_duplicates(table, out)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {"wall": time.perf_counter() - started, "cpu": time.process_time(), "mib": peak}


def _write(alone: Path, count: int, size: int, out: Path) -> Path:
    """The table as normalize_icons writes it, in one row group, of which only a batch is in memory as pixels."""
    bundled = NORMALIZED_ICONS.read(alone)
    seeds = [to_image(image) for image in pixels(read_parquet(alone, ["rgba"])["rgba"], size)]
    generator = np.random.default_rng(0)
    schema = NORMALIZED_ICONS.arrow.with_metadata({"size": str(size), "sources": json.dumps(["noto", "synthetic"])})
    with pq.ParquetWriter(out, schema, compression="zstd", compression_level=3) as writer:
        writer.write_batch(pa.RecordBatch.from_pandas(bundled, schema, preserve_index=False))
        first = {str(name): value for name, value in bundled.iloc[0].items()}
        for start in range(0, count - len(seeds), _BATCH):
            numbers = range(start, min(start + _BATCH, count - len(seeds)))
            rows = [_row(first, number, _made(seeds, number, generator)) for number in numbers]
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema))
    return out


def _row(like: dict[str, object], number: int, image: Image.Image) -> dict[str, object]:
    rgba = premultiply(np.asarray(image)).transpose(2, 0, 1).tobytes()
    key = f"{number:07d}"
    own = {
        "id": f"synthetic/{key}",
        "source": "synthetic",
        "key": key,
        "base_key": key,
        "rgba": rgba,
        "sha256": sha256_bytes(rgba),
    }
    return {**dict(like), **own}


def _made(seeds: list[Image.Image], number: int, generator: np.random.Generator) -> Image.Image:
    if number < COPIES:
        return seeds[7]
    if number < 2 * COPIES:
        noisy_HW4 = np.asarray(seeds[11]).astype(int)
        noisy_HW4[..., :3] += generator.integers(-3, 4, noisy_HW4[..., :3].shape)
        return Image.fromarray(noisy_HW4.clip(0, 255).astype(np.uint8))
    image, badge = (seeds[i] for i in generator.integers(len(seeds), size=2))
    image = image.rotate(6 * int(generator.integers(60)), Image.Resampling.BILINEAR)
    if generator.random() < 0.5:
        image = ImageOps.mirror(image)
    if generator.random() < 0.5:
        image = image.copy()
        edge = int(image.width * generator.uniform(0.3, 0.6))
        left, top = (int(at) for at in generator.integers(image.width - edge, size=2))
        image.alpha_composite(badge.resize((edge, edge), Image.Resampling.BOX), (left, top))
    bands = image.split()
    return Image.merge("RGBA", [*(bands[i] for i in _CHANNELS[generator.integers(6)]), bands[3]])


if __name__ == "__main__":
    sys.exit(main())
