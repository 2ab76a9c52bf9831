"""The `caption_embeddings` table: where the vectors of every text that is a caption lie, each encoded once for a whole store."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flowmodel.files import Artifact, read_parquet
from flowmodel.store import Store
from flowmodel.tables import CAPTION_EMBEDDINGS
from flowmodel.text.encoders import load_encoder
from flowmodel.text.vectors import CaptionVectors


@dataclass(frozen=True)
class EmbeddingReport:
    artifact: Artifact
    encoded: int  # texts that were encoded now
    reused: int  # texts that had been encoded before, for whatever data set


def embed_captions(
    captions: Path, encoder: str, store: Store, out: Path, log: Callable[[str], None] = lambda line: None
) -> EmbeddingReport:
    """See that `store` holds vectors of every text of the `captions` table, and write to `out` which part of it holds which.

    What is there already is not encoded again, and the encoder's weights are not even loaded. `log` gets a line a chunk of texts.
    Raises FlowmodelError when `captions` or the encoder can't be had.
    """
    tower = load_encoder(encoder)
    texts = set(read_parquet(captions, ["text"])["text"].to_pylist())
    vectors = CaptionVectors(store.caption_vectors(tower.digest))
    encoded = vectors.fill(tower, texts, log)
    metadata = {"encoder": tower.name, "encoder_digest": tower.digest, "dimension": str(tower.width)}
    rows = [(text, path.stem) for text, path in vectors.parts(texts).items()]
    artifact = CAPTION_EMBEDDINGS.write(out, rows, metadata)
    return EmbeddingReport(artifact, encoded, reused=len(texts) - encoded)
