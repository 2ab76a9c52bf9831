"""Digests of the contents of a table or a set of tensors, independent of the file's bytes.

Another release of Arrow or of a compressor writes different bytes for the same table. A digest of the bytes would rename every
data set and every training derived from it.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flowmodel.errors import FlowmodelError

if TYPE_CHECKING:  # imported lazily, because a digest of tensors does not need pyarrow
    import pyarrow as pa
    from torch import Tensor


_ROWS = 1024  # of a part of a file

# Maps current to former column names. Digests use the former names, so that renaming a column does not rename data sets.
FORMER_COLUMNS = {"license": "licence"}


def table_digest(table: "pa.Table") -> str:
    """SHA-256 of the values and types of each column of `table`, and of its text metadata.

    The order of rows matters; the order of columns does not. Raises FlowmodelError for a column with nulls or with a type that no
    table of the project has.
    """
    return _digest(table.schema, len(table), lambda name: table[name].chunks)


def parquet_digest(path: Path) -> str:
    """The :func:`table_digest` of a table in a file, which is read in parts and never held as a whole."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        return _digest(
            file.schema_arrow,
            file.metadata.num_rows,
            lambda name: (batch.column(0) for batch in file.iter_batches(_ROWS, columns=[name])),
        )


def _digest(schema: "pa.Schema", rows: int, chunks_of: "Callable[[str], Iterable[pa.Array]]") -> str:
    """`chunks_of` gives the parts of a column, and may be called repeatedly."""
    digest = hashlib.sha256()
    for key, text in sorted((schema.metadata or {}).items()):
        if not key.startswith(b"ARROW:"):
            digest.update(b"%b=%b\n" % (key, text))
    for name in sorted(schema.names):
        digest.update(f"{FORMER_COLUMNS.get(name, name)}:{rows}\n".encode())
        if nulls := sum(chunk.null_count for chunk in chunks_of(name)):
            raise FlowmodelError(f"column '{name}': holds {nulls} nulls; every value must be given")
        _add(digest, partial(chunks_of, name), schema.field(name).type, name)
    return digest.hexdigest()


def tensors_digest(tensors: "Mapping[str, Tensor]") -> str:
    """SHA-256 of the names, dtypes, shapes and values of tensors on the CPU."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


def _add(digest: Any, chunks: "Callable[[], Iterable[pa.Array]]", kind: "pa.DataType", name: str) -> None:
    import pyarrow as pa
    import pyarrow.types as types

    if types.is_string(kind) or types.is_large_string(kind) or types.is_binary(kind) or types.is_large_binary(kind):
        is_text = types.is_string(kind) or types.is_large_string(kind)
        lengths = [np.diff(_offsets(chunk.cast(pa.large_binary()))) for chunk in chunks()]
        _numbers(digest, "text" if is_text else "bytes", lengths)
        for chunk in chunks():
            large = chunk.cast(pa.large_binary())
            first, last = _offsets(large)[[0, -1]]
            data = large.buffers()[2]
            if data is not None:
                digest.update(memoryview(data)[first:last])
    elif types.is_fixed_size_list(kind):
        digest.update(f"vectors of {kind.list_size}\n".encode())
        _add(digest, lambda: (chunk.flatten() for chunk in chunks()), kind.value_type, name)
    elif types.is_list(kind) or types.is_large_list(kind):
        lengths = [chunk.value_lengths().to_numpy(zero_copy_only=False).astype("<i8") for chunk in chunks()]
        _numbers(digest, "lists", lengths)
        _add(digest, lambda: (chunk.flatten() for chunk in chunks()), kind.value_type, name)
    elif types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind):
        _numbers(digest, str(kind), [chunk.to_numpy(zero_copy_only=False) for chunk in chunks()])
    else:
        raise FlowmodelError(f"column '{name}': {kind} is not a type of this project's tables")


def _offsets(array: "pa.LargeBinaryArray") -> np.ndarray:
    """The byte offset of each value in the array, followed by the end of the last one."""
    buffer = array.buffers()[1]
    return np.frombuffer(buffer, np.int64)[array.offset : array.offset + len(array) + 1] if buffer else np.zeros(1, np.int64)


def _numbers(digest: Any, kind: str, parts: "Sequence[np.ndarray]") -> None:
    digest.update(f"{kind} {sum(part.size for part in parts)}\n".encode())
    for part in parts:
        digest.update(np.ascontiguousarray(part.astype(part.dtype.newbyteorder("<"), copy=False)).data)
