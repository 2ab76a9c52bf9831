"""Questions about finished tables that their schema can't answer. Pure functions; the pipeline makes blocking checks of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from flowmodel.files import parquet_metadata, read_parquet
from flowmodel.images.decode import decode_png


@dataclass(frozen=True)
class IconQuality:
    """Icons that can be drawn, that were set aside (id -> reason), and that claim to be fine but don't decode (id -> reason)."""

    ok: int
    quarantined: dict[str, str]
    undecodable: dict[str, str]


@dataclass(frozen=True)
class EmbeddingQuality:
    """Captions without a vector, and captions whose vectors hold NaN or infinity or have the wrong length."""

    encoded: int
    missing: list[str]
    broken: list[str]


def inspect_icons(path: Path) -> IconQuality:
    """Decode every picture of the icons table at `path`; raises FlowmodelError when the table can't be read."""
    quarantined, undecodable, ok = {}, {}, 0
    for row in read_parquet(path, ["id", "png", "status", "reason"]).to_pylist():
        if row["status"] != "ok":
            quarantined[row["id"]] = row["reason"]
            continue
        try:
            decode_png(row["png"])
            ok += 1
        except ValueError as error:
            undecodable[row["id"]] = str(error)
    return IconQuality(ok, quarantined, undecodable)


def inspect_embeddings(captions: Path, embeddings: Path) -> EmbeddingQuality:
    """Compare the embeddings with the captions that they are to cover.

    A caption whose text is not the one that was encoded counts as missing. Raises FlowmodelError when a table can't be read.
    """
    wanted = _texts(captions)
    encoded = _texts(embeddings)
    missing = [caption for caption, text in wanted.items() if encoded.get(caption) != text]

    width = int(parquet_metadata(embeddings).get("dimension", 0))
    table = read_parquet(embeddings, ["caption_id", "pooled", "tokens"]).combine_chunks()
    broken = [
        caption
        for caption, pooled, tokens in zip(table["caption_id"].to_pylist(), table["pooled"], table["tokens"], strict=True)
        if not _finite(pooled.values, width) or not _finite(tokens.values.flatten(), width)
    ]
    return EmbeddingQuality(len(encoded), missing, broken)


def _texts(path: Path) -> dict[str, str]:
    table = read_parquet(path, ["caption_id", "text"])
    return dict(zip(table["caption_id"].to_pylist(), table["text"].to_pylist(), strict=True))


def _finite(values: pa.Array, width: int) -> bool:
    """Whether `values` are one or more finite vectors of length `width`."""
    array = values.to_numpy(zero_copy_only=False)
    return width > 0 and len(array) > 0 and len(array) % width == 0 and bool(np.isfinite(array).all())
