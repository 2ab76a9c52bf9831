"""The `caption_embeddings` table, which locates the vectors of every caption. Each text is encoded once per store."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from flowmodel.files import Artifact, read_parquet
from flowmodel.store import Store
from flowmodel.tables import CAPTION_EMBEDDINGS
from flowmodel.text.encoders import CaptionEncoder, load_encoder
from flowmodel.text.readability import Readability, inspect_texts, require_languages
from flowmodel.text.vectors import CaptionVectors

Fill = Callable[[CaptionVectors, CaptionEncoder, Collection[str], Callable[[str], None]], int]
_NOT_ASKED_FOR = ("en", "und")  # always present, or the source's own


@dataclass(frozen=True)
class EmbeddingReport:
    artifact: Artifact
    encoded: int  # texts encoded by this call
    reused: int  # texts encoded earlier, for any data set
    readability: Readability  # what the encoder can't read in them


def embed_captions(
    captions: Path,
    encoder: str,
    store: Store,
    out: Path,
    log: Callable[[str], None] = lambda line: None,
    force_languages: bool = False,
    fill: Fill = CaptionVectors.fill,
) -> EmbeddingReport:
    """Make sure that `store` holds vectors of every text of the `captions` table, and write to `out` which part holds each.

    Texts that have vectors are not encoded again; if all have, the encoder's weights are not loaded. `log` gets a line per
    chunk of texts, and a summary of what the encoder can't read. Raises FlowmodelError when `captions` or the encoder is not
    available, or the encoder can't read a language of the captions. `force_languages` skips the last check, which never covers
    a source's own texts, because their language is unknown. `fill` encodes the texts without vectors, as
    :meth:`CaptionVectors.fill` does.
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
    encoded = fill(vectors, tower, texts, log)
    metadata = {"encoder": tower.name, "encoder_digest": tower.digest, "dimension": str(tower.width)}
    rows = [(text, path.stem) for text, path in vectors.parts(texts).items()]
    artifact = CAPTION_EMBEDDINGS.write(out, rows, metadata)
    return EmbeddingReport(artifact, encoded, len(texts) - encoded, readability)


def inspect_captions(tower: CaptionEncoder, captions: Path) -> Readability:
    """What `tower` can't read in the `captions` table. Icons with the same key show the same concept, so that they may share a
    text.
    """
    table = read_parquet(captions, ["icon_id", "text"])
    keys = (icon_id.partition("/")[2] for icon_id in table["icon_id"].to_pylist())
    return inspect_texts(tower, zip(keys, table["text"].to_pylist(), strict=True))
