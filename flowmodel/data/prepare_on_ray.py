"""The long steps of prepare.py on a Ray cluster: reading and rendering sources, normalizing icons and encoding captions.

They call the same functions and write the same files. A row is never collected anywhere before it is written, except those of
one source by the task that reads it. The nodes need the store at the same path.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
import ray.data

from flowmodel.content import parquet_digest
from flowmodel.data.normalize import normalized_metadata, normalized_rows
from flowmodel.data.prepare import Log, Preparation
from flowmodel.data.sources.ingest import Ingested, ingest_icons
from flowmodel.errors import FlowmodelError
from flowmodel.extras import refusal
from flowmodel.files import Artifact, write_parquet_parts
from flowmodel.tables import ICONS, NORMALIZED_ICONS
from flowmodel.text.encoded import CaptionEncoder
from flowmodel.text.encoders import load_encoder
from flowmodel.text.vectors import CHUNK, CaptionVectors

_ROWS = 512  # of a part of the normalized table
_REFUSED = "refused"

Row = dict[str, Any]


class RayPreparation(Preparation):
    """As Preparation, on the cluster that RAY_ADDRESS names, else on all cores of this machine."""

    def all_icons(self, again: bool = False) -> dict[str, Ingested]:
        """Read the icons of all sources, one source per core at a time."""
        # A task has one core. Its log would be on another machine.
        context, store = replace(self.context, threads=1, log=_ignore), self.store
        configs = {source.name: source for source in self.sources}

        def read(row: Row) -> Row:
            ingested = ingest_icons(configs[row["source"]], context, store.icons(row["source"]), again)
            return {
                "source": row["source"],
                "path": str(ingested.artifact.path),
                "digest": ingested.artifact.digest,
                "version": ingested.version,
                "unchanged": ingested.unchanged,
                "complete": ingested.complete,
            }

        read_by_name: dict[str, Ingested] = {}
        for row in _rows(_items([{"source": name} for name in configs]).map(_refusing(read))):
            artifact = Artifact(Path(row["path"]), row["digest"])
            read_by_name[row["source"]] = Ingested(artifact, row["version"], row["unchanged"], row["complete"])
            self.log(f"read the icons of '{row['source']}'")
        return {name: read_by_name[name] for name in configs}

    def normalized_icons(self, tables: Mapping[str, Artifact]) -> Artifact:
        """Normalize one source per core at a time, and write the rows in the order of their ids."""
        size, trim = self.data.size, [source.name for source in self.sources if source.trim]
        names = sorted((source.name for source in self.sources), key=lambda name: f"{name}/")  # as ids sort

        def normalize(batch: pa.Table) -> Iterator[pa.Table]:
            for path in batch["path"].to_pylist():
                icons = ICONS.read(Path(path))
                for first in range(0, len(icons), _ROWS):
                    rows = normalized_rows(icons.iloc[first : first + _ROWS], size, trim)
                    yield NORMALIZED_ICONS.build(rows, where=path)

        items = _items([{"path": str(tables[name].path)} for name in names])
        parts = items.map_batches(normalize, batch_size=1, batch_format="pyarrow")
        metadata = normalized_metadata((source.name for source in self.sources), size)

        def write(out: Path) -> Artifact:
            found = parts.iter_batches(batch_size=None, batch_format="pyarrow")
            write_parquet_parts(out, _in_order(found), NORMALIZED_ICONS.arrow, metadata)
            return Artifact(out, parquet_digest(out))

        return self._keep("normalized_icons", write)

    def fill(self, vectors: CaptionVectors, encoder: CaptionEncoder, texts: Collection[str], log: Log) -> int:
        """Encode the texts that have no vectors yet, with an encoder per core."""
        missing = vectors.missing(texts)
        if not missing:
            return 0
        name, folder = encoder.name, vectors.folder

        class Encode:
            def __init__(self) -> None:
                self.encoder = load_encoder(name)

            def __call__(self, row: Row) -> Row:
                CaptionVectors(folder).encode(self.encoder, list(row["texts"]))
                return {"encoded": len(row["texts"])}

        chunks = [{"texts": missing[first : first + CHUNK]} for first in range(0, len(missing), CHUNK)]
        encoders = min(len(chunks), int(ray.cluster_resources()["CPU"]))
        encoded = 0
        for row in _rows(_items(chunks).map(Encode, compute=ray.data.ActorPoolStrategy(size=encoders), num_cpus=1)):
            encoded += row["encoded"]
            log(f"encoded {encoded:,} of {len(missing):,} new texts with {name}")
        return encoded


def _items(rows: list[Row]) -> ray.data.Dataset:
    """A data set with a block for each row, whose order is kept."""
    if not ray.is_initialized():
        try:
            ray.init(logging_level="warning")
        except (ConnectionError, ValueError, RuntimeError) as error:
            line = str(error).strip().partition(". ")[0].partition("\n")[0]
            raise FlowmodelError(f"RAY_ADDRESS: {line}; name a running cluster as HOST:6379, or unset it") from None
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    return ray.data.from_items(rows, override_num_blocks=len(rows))


def _refusing(function: Callable[[Row], Row]) -> Callable[[Row], Row]:
    """The function with errors that the user can fix as values, because Ray adds stack traces to exceptions."""

    def call(row: Row) -> Row:
        try:
            return function(row)
        except Exception as error:
            if (line := refusal(error)) is None:
                raise
            return {_REFUSED: line}

    return call


def _rows(dataset: ray.data.Dataset) -> Iterator[Row]:
    for row in dataset.iter_rows():
        if row.get(_REFUSED):
            raise FlowmodelError(row[_REFUSED])
        yield row


def _in_order(parts: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The parts, whose ids must increase, so that none comes twice."""
    last = ""
    for part in parts:
        ids = part["id"].to_pylist()
        if sorted({last, *ids}) != [last, *ids]:
            raise FlowmodelError(f"icons after '{last}' are not sorted by id, or an id comes twice; read the sources again")
        last = ids[-1]
        yield part.select(NORMALIZED_ICONS.arrow.names).cast(NORMALIZED_ICONS.arrow)


def _ignore(line: str) -> None:
    pass
