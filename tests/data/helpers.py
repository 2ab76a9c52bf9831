"""Small real images and tables for the tests of icons."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flowmodel.data.dataset import FILES, IconDataset, write_dataset
from flowmodel.data.keys import base_key
from flowmodel.files import Artifact, read_parquet, sha256_bytes, write_parquet
from flowmodel.images.rgba import encode_png
from flowmodel.store import Store
from flowmodel.tables import CAPTION_EMBEDDINGS, ICONS

RED = (220, 20, 20, 255)
GREEN = (20, 160, 60, 255)
BLUE = (30, 60, 200, 255)


def plain(color: Sequence[int] = RED, height: int = 8, width: int = 8) -> NDArray[np.uint8]:
    """A straight RGBA image of one color."""
    return np.full((height, width, 4), color, np.uint8)


def icon_row(key: str, *, source: str = "test", png: bytes | None = None, **fields: Any) -> dict[str, Any]:
    """One valid row of the icons table; its image depends on the key unless `png` is given."""
    if png is None:
        png = encode_png(plain((*bytes.fromhex(sha256_bytes(key.encode())[:6]), 255)))
    row = {
        "id": f"{source}/{key}",
        "source": source,
        "key": key,
        "char": "",
        "name": key.replace("-", " "),
        "keywords": [],
        "captions": [],
        "group": "",
        "subgroup": "",
        "base_key": base_key(key),
        "skin_tone": "",
        "png": png,
        "width": 8,
        "height": 8,
        "sha256": sha256_bytes(png),
        "license": "",
        "redistributable": True,
        "origin": "",
        "status": "ok",
        "reason": "",
        "notes": "",
    }
    return row | fields


def write_icons(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    return ICONS.write(path, rows).path


def with_icons(dataset: IconDataset, change: Callable[[pa.Table], pa.Table], store: Store) -> IconDataset:
    """The data set in `store`, with changed rows of icons."""
    files = {name: Artifact.of(dataset.folder / file) for name, file in FILES.items()}
    icons = change(read_parquet(files["icons"].path))
    files["icons"] = Artifact.of(write_parquet(store.root / "icons.parquet", icons))
    encoder = {"encoder": dataset.encoder, "encoder_digest": dataset.encoder_digest, "dimension": str(dataset.text_width)}
    embeddings = CAPTION_EMBEDDINGS.write(store.root / "embeddings.parquet", [], encoder)
    return write_dataset(store, dataset.data, files, embeddings)


def write_folder(folder: Path, captions: str, files: dict[str, bytes]) -> Path:
    """A folder source: `captions` as captions.csv, and `files` by name."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "captions.csv").write_text(captions, encoding="utf-8")
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder
