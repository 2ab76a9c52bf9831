"""The `caption_embeddings` table: the place of the vectors of every caption; each text is encoded once per store."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flowmodel.files import Artifact, read_parquet
from flowmodel.store import Store
from flowmodel.tables import CAPTION_EMBEDDINGS
from flowmodel.text.encoders import CaptionEncoder, load_encoder
from flowmodel.text.readability import Readability, inspect_texts, require_languages
from flowmodel.text.vectors import CaptionVectors

_NOT_ASKED_FOR = ("en", "und")  # always there, or the source's own


@dataclass(frozen=True)
class EmbeddingReport:
    artifact: Artifact
    encoded: int  # texts that were encoded now
    reused: int  # texts that had been encoded before, for whatever data set
    readability: Readability  # what the encoder can't take in of them


def embed_captions(
    captions: Path,
    encoder: str,
    store: Store,
    out: Path,
    log: Callable[[str], None] = lambda line: None,
    force_languages: bool = False,
) -> EmbeddingReport:
    """See that `store` holds vectors of every text of the `captions` table, and write to `out` which part of it holds which.

    What is there already is not encoded again, and the encoder's weights are not even loaded. `log` gets a line a chunk of texts,
    and what the encoder can't take in. Raises FlowmodelError when `captions` or the encoder can't be had, or where the encoder
    doesn't read a language of the captions; that of the source's own texts is not known, and `force_languages` takes all.
    """
    tower = load_encoder(encoder)
    table = read_parquet(captions, ["icon_id", "text", "language"])
    languages = zip(table["language"].to_pylist(), table["text"].to_pylist(), strict=True)
    if not force_languages:
        require_languages(tower, ((name, text) for name, text in languages if name not in _NOT_ASKED_FOR))
    readability = inspect_captions(tower, captions)
    for line in readability.lines():
        log(line)
    texts = set(table["text"].to_pylist())
    vectors = CaptionVectors(store.caption_vectors(tower.digest))
    encoded = vectors.fill(tower, texts, log)
    metadata = {"encoder": tower.name, "encoder_digest": tower.digest, "dimension": str(tower.width)}
    rows = [(text, path.stem) for text, path in vectors.parts(texts).items()]
    artifact = CAPTION_EMBEDDINGS.write(out, rows, metadata)
    return EmbeddingReport(artifact, encoded, len(texts) - encoded, readability)


def inspect_captions(tower: CaptionEncoder, captions: Path) -> Readability:
    """What `tower` can't take in of the `captions` table; icons of one key show the same thing, and may have one text."""
    table = read_parquet(captions, ["icon_id", "text"])
    keys = (icon_id.partition("/")[2] for icon_id in table["icon_id"].to_pylist())
    return inspect_texts(tower, zip(keys, table["text"].to_pylist(), strict=True))
