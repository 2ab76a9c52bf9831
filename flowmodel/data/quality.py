"""Questions about finished tables that their schema can't answer. Pure functions; the pipeline makes blocking checks of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowmodel.files import read_parquet
from flowmodel.text.vectors import CaptionVectors


@dataclass(frozen=True)
class IconQuality:
    """How many icons can be used, and which were set aside (id -> reason)."""

    ok: int
    quarantined: dict[str, str]


@dataclass(frozen=True)
class EmbeddingQuality:
    """Texts of captions without a vector, and texts that have no token or whose vectors hold NaN or infinity."""

    encoded: int
    missing: list[str]
    broken: list[str]


def inspect_icons(path: Path) -> IconQuality:
    """Of the icons or normalized icons at `path`; raises FlowmodelError when the table can't be read.

    Nothing is decoded: a picture is when its source is read and when it is normalized, and is set aside there if it can't be.
    """
    rows = read_parquet(path, ["id", "status", "reason"]).to_pylist()
    quarantined = {row["id"]: row["reason"] for row in rows if row["status"] != "ok"}
    return IconQuality(len(rows) - len(quarantined), quarantined)


def inspect_embeddings(captions: Path, embeddings: Path, vectors: Path) -> EmbeddingQuality:
    """Compare the embeddings, whose vectors lie in the folder `vectors`, with the captions that they are to cover.

    Raises FlowmodelError when a table can't be read, or a part of the vectors is missing.
    """
    encoded = read_parquet(embeddings, ["text"])["text"].to_pylist()
    pooled_UD, tokens = CaptionVectors(vectors).read(encoded)
    wanted = read_parquet(captions, ["text"])["text"].to_pylist()
    return EmbeddingQuality(
        encoded=len(encoded),
        missing=sorted(set(wanted) - set(encoded)),
        broken=[
            text
            for text, pooled_D, tokens_LD in zip(encoded, pooled_UD, tokens, strict=True)
            if not len(tokens_LD) or not np.isfinite(pooled_D).all() or not np.isfinite(tokens_LD).all()
        ],
    )
