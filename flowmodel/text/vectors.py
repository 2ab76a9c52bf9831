"""The cache of caption vectors: an append-only table per encoder that all data sets of a store share.

Shape suffixes: U texts, L tokens of a text, D encoder width.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
from filelock import FileLock
from numpy.typing import NDArray

from flowmodel.content import table_digest
from flowmodel.errors import FlowmodelError
from flowmodel.files import Artifact, keep_by_content, permission_denied, read_parquet, write_parquet
from flowmodel.tables import caption_vectors
from flowmodel.text.encoded import CaptionEncoder, EncodedText

CHUNK = 512  # texts per part and per progress line

Vectors = tuple[NDArray[np.float32], list[NDArray[np.float16]]]  # (U, D), and (L, D) for each text


class CaptionVectors:
    """The vectors of all texts that an encoder has encoded for any data set of the store.

    Each part is an immutable file that is named by its digest. A writing process holds a lock, which the operating system
    releases if the process dies. Two writers share the work, and a killed one loses no finished part.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` belongs to one encoder."""
        self.folder = folder
        self._part_of: dict[str, Path] = {}  # by text
        self._known_parts: set[Path] = set()

    def fill(self, encoder: CaptionEncoder, texts: Collection[str], log: Callable[[str], None] = lambda line: None) -> int:
        """Encode the `texts` that have no vectors yet; returns their number.

        `log` gets a line per part. Raises FlowmodelError when the encoder's weights are missing, or the folder can't be written.
        """
        new = left = self.missing(texts)
        started, encoded = time.monotonic(), 0
        while left:
            with self._locked():
                if self._learn_parts():  # another process may have encoded some in the meantime
                    left = self.missing(left)
                self.encode(encoder, left[:CHUNK])
                encoded += len(left[:CHUNK])
            left = left[CHUNK:]
            rate = encoded / max(time.monotonic() - started, 1e-3)
            log(f"encoded {len(new) - len(left):,} of {len(new):,} new texts with {encoder.name} ({rate:,.0f} per second)")
        return encoded

    def parts(self, texts: Collection[str]) -> dict[str, Path]:
        """Maps each text to the file with its vectors. Raises FlowmodelError when a text has none."""
        if missing := self.missing(texts):
            raise FlowmodelError(f"{self.folder}: holds no vectors of '{missing[0]}'; prepare the data set again")
        return {text: self._part_of[text] for text in sorted(set(texts))}

    def read(self, texts: Sequence[str]) -> Vectors:
        """Vectors of `texts`, in order. Raises FlowmodelError when a text has none, or a part was modified."""
        part_of = self.parts(texts)
        vectors: dict[str, tuple[NDArray[np.float32], NDArray[np.float16]]] = {}
        for path in sorted(set(part_of.values())):
            table = read_parquet(path)
            if not table_digest(table).startswith(path.stem):
                raise FlowmodelError(f"{path}: changed since it was written; remove it and prepare the data set again")
            for text, *found in zip(table["text"].to_pylist(), *vectors_of(table), strict=True):
                if part_of.get(text) == path:
                    vectors[text] = found[0], found[1]
        pooled_U, tokens_U = zip(*(vectors[text] for text in texts), strict=True) if texts else ((), ())
        return np.stack(pooled_U) if pooled_U else np.zeros((0, 0), np.float32), list(tokens_U)

    def _learn_parts(self) -> bool:
        """Read the texts of parts that this object does not know yet; returns whether there were any."""
        new = sorted(set(self.folder.glob("[!.]*.parquet")) - self._known_parts)
        for path in new:
            self._known_parts.add(path)
            try:
                found = read_parquet(path, ["text"])["text"].to_pylist()
            except FlowmodelError:
                continue  # damaged, so its texts are encoded again
            for text in found:
                self._part_of.setdefault(text, path)
        return bool(new)

    def missing(self, texts: Collection[str]) -> list[str]:
        """The texts without vectors, sorted by length, because a batch should have similar lengths."""
        self._learn_parts()
        return sorted(set(texts) - self._part_of.keys(), key=lambda text: (len(text), text))

    def encode(self, encoder: CaptionEncoder, texts: list[str]) -> None:
        """Encode these texts into one part, whose file is named by its content."""
        if texts:
            table = vectors_table(texts, encoder.encode(texts), encoder.width)
            part = keep_by_content(self.folder, lambda out: Artifact.of(write_parquet(out, table)))
            self._known_parts.add(part.path)
            for text in texts:
                self._part_of.setdefault(text, part.path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = FileLock(self.folder / ".lock", mode=0o666)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except PermissionError:
            raise permission_denied(self.folder / ".lock", "write") from None
        try:
            yield
        finally:
            lock.release()


def vectors_table(texts: list[str], encoded: EncodedText, width: int) -> pa.Table:
    """The table `caption_vectors` of texts and their vectors."""
    numbers = np.concatenate([tokens.reshape(-1) for tokens in encoded.tokens])
    offsets = np.cumsum([0] + [len(tokens) for tokens in encoded.tokens], dtype=np.int32)
    pooled = pa.FixedSizeListArray.from_arrays(pa.array(encoded.pooled_BD.reshape(-1)), width)
    tokens = pa.ListArray.from_arrays(pa.array(offsets), pa.FixedSizeListArray.from_arrays(pa.array(numbers), width))
    return pa.table([pa.array(texts, pa.string()), pooled, tokens], schema=caption_vectors(width).arrow)


def vectors_of(table: pa.Table) -> Vectors:
    """The vectors of each row of such a table."""
    pooled, tokens = (table[name].combine_chunks() for name in ("pooled", "tokens"))
    width = pooled.type.list_size
    # Copied, because Arrow's memory is read-only and torch expects writable memory.
    pooled_UD = pooled.flatten().to_numpy(zero_copy_only=False).reshape(-1, width).copy()
    every_TD = tokens.flatten().flatten().to_numpy(zero_copy_only=False).reshape(-1, width).copy()
    ends = np.cumsum(tokens.value_lengths().to_numpy(zero_copy_only=False))
    return pooled_UD, np.split(every_TD, ends)[:-1]
