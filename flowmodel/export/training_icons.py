"""The icons that a model was trained on, so that its page can show which of them a sample is close to.

The page gets a name and a code of each icon: the image, averaged to 16 x 16 and projected onto 128 random directions. Distances
between codes are within a tenth of those between images (Johnson and Lindenstrauss), and an image cannot be reconstructed from
its code. A thumbnail is added only if the icon's license allows redistribution.

Shape suffixes: N icons, 4 channels (premultiplied RGBA), H/W height and width, G edge of the averaged image, D = 4 G G, K
directions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from PIL import Image

from flowmodel.data.dataset import FILES, IconDataset
from flowmodel.data.prepare import Preparation
from flowmodel.errors import FlowmodelError
from flowmodel.files import read_parquet, sha256_file, write_bytes, write_json
from flowmodel.images.rgba import pixels, to_image
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.runtime.noise import standard_normal
from flowmodel.store import Store

GRID, WIDTH = 16, 128
_SEED = 0  # seed of the directions, which page/nearest.js generates as well
_TILE, _COLUMNS = 32, 96  # of the sheet of thumbnails, in pixels
_QUALITY = 70
_ROWS = 512  # of distances at a time


@dataclass(frozen=True)
class TrainingIcons:
    """Icons without duplicates.

    Attributes:
        rgba_N4HW: premultiplied uint8.
        names, sources: name and source of each icon.
        shown_N: whether the icon's license allows redistribution.
        of: number of icons that the weights were trained on; there may be fewer here, because some images are missing or equal.
    """

    rgba_N4HW: NDArray[np.uint8]
    names: tuple[str, ...]
    sources: tuple[str, ...]
    shown_N: NDArray[np.bool_]
    of: int

    @classmethod
    def find(
        cls, checkpoint: Checkpoint, store: Store, sources: Path | None, log: Callable[[str], None]
    ) -> "TrainingIcons | None":
        """The training icons of `checkpoint`, from the YAML list `sources` if given, else from its data set if that is still in
        `store`. None if no icon is found.

        Raises FlowmodelError when a source can't be read, or `sources` lists none of the icons.
        """
        if sources is not None:
            steps = Preparation.of(store, checkpoint.recipe.data, sources, log)
            tables = {source.name: steps.icons(source).artifact for source in steps.sources}
            table = read_parquet(steps.normalized_icons(tables).path)
            table = table.filter(pc.equal(table["status"], "ok"))
        else:
            folder = store.datasets / checkpoint.header.dataset_digest[:16]
            try:
                table = read_parquet(IconDataset.open(folder).folder / FILES["icons"])
            except FlowmodelError:  # removed, or from an earlier release
                return None
            table = table.filter(pc.equal(table["status"], "ok"))
        ids = checkpoint.header.seen_ids
        table = table.filter(pc.is_in(table["id"], pa.array(ids)))
        if not len(table):
            if sources is None:
                return None
            raise FlowmodelError(
                f"{sources}: lists none of the icons that {checkpoint} was trained on; name the list of its training"
            )
        return cls.of_table(table, checkpoint.recipe.data.size, len(ids))

    @classmethod
    def of_table(cls, table: pa.Table, size: int, of: int) -> "TrainingIcons":
        """The icons of usable rows of normalized icons of `size` pixels."""
        _, first = np.unique(np.array(table["sha256"].to_pylist()), return_index=True)
        table = table.take(np.sort(first))
        names, sources = (tuple(table[name].to_pylist()) for name in ("name", "source"))
        return cls(pixels(table["rgba"], size), names, sources, np.array(table["redistributable"].to_pylist(), bool), of)

    def write(self, folder: Path) -> None:
        """Write names, codes and thumbnails for page/nearest.js."""
        codes_NK = codes(self.rgba_N4HW)
        scale = float(np.abs(codes_NK).max()) / 32767 or 1.0
        written = write_bytes(folder / "codes.bin", (codes_NK / scale).round().astype("<i2").tobytes())
        if self.shown_N.any():
            self._sheet().save(folder / "thumbnails.webp", quality=_QUALITY, method=4)
        styles = sorted(set(self.sources))
        number_N = np.where(self.shown_N, np.cumsum(self.shown_N) - 1, -1)
        values = {
            "of": self.of,
            "names": self.names,
            "styles": styles,
            "style_of": [styles.index(source) for source in self.sources],
            "thumbnails": number_N.tolist(),
            "tile": _TILE,
            "columns": _COLUMNS,
            "grid": GRID,
            "width": WIDTH,
            "scale": scale,
            "near": near(codes_NK),
            "files": {"codes.bin": {"bytes": written.stat().st_size, "sha256": sha256_file(written)}},
        }
        write_json(folder / "icons.json", values)

    def _sheet(self) -> Image.Image:
        shown = self.rgba_N4HW[self.shown_N]
        sheet = Image.new("RGBA", (_TILE * min(_COLUMNS, len(shown)), _TILE * -(-len(shown) // _COLUMNS)))
        for number, rgba_4HW in enumerate(shown):
            tile = to_image(rgba_4HW).convert("RGBa").resize((_TILE, _TILE), Image.Resampling.LANCZOS).convert("RGBA")
            sheet.paste(tile, (number % _COLUMNS * _TILE, number // _COLUMNS * _TILE))
        return sheet


def write_no_icons(folder: Path) -> None:
    """Write the file of :meth:`TrainingIcons.write` for unknown training icons."""
    write_json(folder / "icons.json", {"names": []})


def codes(rgba_N4HW: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The codes (N, K) of images of at least 16 x 16 pixels. Distances between codes, divided by sqrt(K D), approximate the
    root mean square difference of the averaged images, in [0, 1].
    """
    edges_G = np.arange(GRID) * rgba_N4HW.shape[-1] // GRID
    sums = np.add.reduceat(np.add.reduceat(rgba_N4HW.astype(np.float32), edges_G, axis=2), edges_G, axis=3)
    counts_G = np.diff([*edges_G, rgba_N4HW.shape[-1]])
    averaged_N4GG = sums / (255 * np.outer(counts_G, counts_G))
    directions_KD = standard_normal(_SEED, (WIDTH, 4 * GRID * GRID))
    codes_NK: NDArray[np.float32] = (averaged_N4GG.reshape(len(rgba_N4HW), -1) @ directions_KD.T).astype(np.float32)
    return codes_NK


def near(codes_NK: NDArray[np.float32]) -> float:
    """The median distance of icons to their nearest neighbors, by :func:`codes`; 0 for a single icon."""
    if len(codes_NK) < 2:
        return 0.0
    squares_N = np.square(codes_NK).sum(axis=1)
    nearest = []
    for start in range(0, len(codes_NK), _ROWS):
        rows = codes_NK[start : start + _ROWS]
        squared = squares_N[start : start + _ROWS, None] + squares_N - 2 * rows @ codes_NK.T
        squared[np.arange(len(rows)), start + np.arange(len(rows))] = np.inf
        nearest.append(squared.min(axis=1))
    return float(np.median(np.sqrt(np.maximum(np.concatenate(nearest), 0))) / np.sqrt(WIDTH * 4 * GRID * GRID))
