"""The `caption_embeddings` table: made once a text and encoder, reused bit for bit afterwards.

While it is made, what is encoded lies in parts beside it (`.<name>.parts/`), so that an interrupted run goes on where it was.

Shape suffixes: N captions, L tokens of one caption, D the encoder's width.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from flowmodel.data.tables import caption_embeddings
from flowmodel.errors import FlowmodelError
from flowmodel.files import Artifact, parquet_metadata, read_parquet, sha256_json, write_parquet
from flowmodel.text.encoders import CaptionEncoder, load_encoder

_CHUNK = 512  # texts between two lines of progress

_Vectors = tuple[NDArray[np.float32], NDArray[np.float16]]  # pooled_D, tokens_LD


@dataclass(frozen=True)
class EmbeddingReport:
    artifact: Artifact
    encoded: int  # captions whose text was encoded now
    reused: int  # captions whose text an earlier run had encoded


@dataclass(frozen=True)
class CaptionEmbeddings:
    """Caption i is `caption_ids[i]`, `texts[i]`, `pooled_ND[i]` and `tokens[i]`."""

    caption_ids: list[str]
    texts: list[str]
    pooled_ND: torch.Tensor  # float32, L2-normalised
    tokens: list[torch.Tensor]  # float16 (L, D) each
    encoder: str
    encoder_digest: str
    width: int


def embed_captions(captions: Path, encoder: str, out: Path, log: Callable[[str], None] = lambda line: None) -> EmbeddingReport:
    """Write the embedding of every caption to `out`, in the order of `captions`.

    Texts that an earlier `out`, or an interrupted run, has encoded with the same weights are taken over bit for bit: unchanged
    inputs give an unchanged digest, and the weights are not even loaded. `log` gets a line a chunk of texts. Raises
    FlowmodelError when `captions` or the encoder can't be had.
    """
    tower = load_encoder(encoder)
    table = read_parquet(captions, ["caption_id", "text"])
    texts: list[str] = table["text"].to_pylist()
    known = _earlier_vectors(out, tower.digest)
    reused = sum(text in known for text in texts)
    parts = out.with_name(f".{out.name}.parts")
    for part in sorted(parts.glob("*.parquet")):
        known |= _earlier_vectors(part, tower.digest)
    _encode_new(tower, sorted(set(texts) - known.keys(), key=lambda text: (len(text), text)), known, parts, log)
    columns = [table["caption_id"], table["text"], *_to_arrow([known[text] for text in texts], tower.width)]
    path = write_parquet(out, pa.table(columns, schema=caption_embeddings(tower.width).arrow), _metadata(tower))
    shutil.rmtree(parts, ignore_errors=True)
    return EmbeddingReport(Artifact.of(path), encoded=len(texts) - reused, reused=reused)


def _encode_new(
    tower: CaptionEncoder, new: list[str], known: dict[str, _Vectors], parts: Path, log: Callable[[str], None]
) -> None:
    """Encode `new`, in which texts of similar length are neighbours and so share a batch, and add their vectors to `known`."""
    started = time.monotonic()
    for start in range(0, len(new), _CHUNK):
        chunk = new[start : start + _CHUNK]
        encoded = tower.encode(chunk)
        vectors = list(zip(encoded.pooled_BD, encoded.tokens, strict=True))
        known.update(zip(chunk, vectors, strict=True))
        done = start + len(chunk)
        if done < len(new):  # the last one goes straight into the table
            columns = [pa.array(chunk), pa.array(chunk), *_to_arrow(vectors, tower.width)]
            part = parts / f"{sha256_json([tower.digest, chunk])[:16]}.parquet"
            write_parquet(part, pa.table(columns, schema=caption_embeddings(tower.width).arrow), _metadata(tower))
        rate = done / max(time.monotonic() - started, 1e-3)
        log(f"encoded {done:,} of {len(new):,} new texts with {tower.name} ({rate:,.0f} a second)")


def _metadata(tower: CaptionEncoder) -> dict[str, str]:
    return {"encoder": tower.name, "encoder_digest": tower.digest, "dimension": str(tower.width)}


def load_embeddings(path: Path, expected_digest: str | None = None) -> CaptionEmbeddings:
    """Read what :func:`embed_captions` wrote.

    Raises FlowmodelError when the file is missing or unreadable, or its encoder's weights are not `expected_digest`.
    """
    metadata = parquet_metadata(path)
    if missing := {"encoder", "encoder_digest", "dimension"} - metadata.keys():
        raise FlowmodelError(f"{path}: not a caption embedding table (metadata missing: {', '.join(sorted(missing))})")
    if expected_digest is not None and metadata["encoder_digest"] != expected_digest:
        raise FlowmodelError(
            f"{path}: encoder digest is {metadata['encoder_digest']} ({metadata['encoder']}), expected {expected_digest}; "
            "embed the captions again with the encoder that is wanted"
        )
    width = int(metadata["dimension"])
    table = read_parquet(path, caption_embeddings(width).arrow.names)
    vectors = _from_arrow(table)
    pooled_ND = np.stack([pooled for pooled, _ in vectors]) if vectors else np.zeros((0, width), np.float32)
    return CaptionEmbeddings(
        caption_ids=table["caption_id"].to_pylist(),
        texts=table["text"].to_pylist(),
        pooled_ND=torch.from_numpy(pooled_ND),
        tokens=[torch.from_numpy(tokens) for _, tokens in vectors],
        encoder=metadata["encoder"],
        encoder_digest=metadata["encoder_digest"],
        width=width,
    )


def _earlier_vectors(path: Path, encoder_digest: str) -> dict[str, _Vectors]:
    """Vectors by text of an earlier run with the same weights; none where there is no such file, or it can't be read."""
    try:
        if parquet_metadata(path).get("encoder_digest") != encoder_digest:
            return {}
        table = read_parquet(path, ["text", "pooled", "tokens"])
    except FlowmodelError:
        return {}
    return dict(zip(table["text"].to_pylist(), _from_arrow(table), strict=True))


def _to_arrow(vectors: list[_Vectors], width: int) -> tuple[pa.Array, pa.Array]:
    pooled = np.concatenate([pooled for pooled, _ in vectors]) if vectors else np.zeros(0, np.float32)
    tokens = np.concatenate([tokens.reshape(-1) for _, tokens in vectors]) if vectors else np.zeros(0, np.float16)
    offsets = np.cumsum([0] + [len(tokens) for _, tokens in vectors], dtype=np.int32)
    return (
        pa.FixedSizeListArray.from_arrays(pa.array(pooled), width),
        pa.ListArray.from_arrays(pa.array(offsets), pa.FixedSizeListArray.from_arrays(pa.array(tokens), width)),
    )


def _from_arrow(table: pa.Table) -> list[_Vectors]:
    pooled = table["pooled"].combine_chunks()
    tokens = table["tokens"].combine_chunks()
    # Copies, because Arrow's memory is read-only and torch wants to own what it wraps.
    width = pooled.type.list_size
    pooled_ND = pooled.flatten().to_numpy(zero_copy_only=False).reshape(-1, width).copy()
    every_TD = tokens.flatten().flatten().to_numpy(zero_copy_only=False).reshape(-1, width).copy()
    ends = np.cumsum(tokens.value_lengths().to_numpy(zero_copy_only=False))
    return list(zip(pooled_ND, np.split(every_TD, ends)[:-1], strict=True))
