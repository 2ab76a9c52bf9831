"""Digests of the contents of a table or a set of tensors, independent of the file's bytes.

Another release of Arrow or of a compressor writes different bytes for the same table. A digest of the bytes would rename every
data set and every training derived from it.
"""

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from flowmodel.errors import FlowmodelError

if TYPE_CHECKING:  # imported lazily, because a digest of tensors does not need pyarrow
    import pyarrow as pa
    from torch import Tensor


# Maps current to former column names. Digests use the former names, so that renaming a column does not rename data sets.
FORMER_COLUMNS = {"license": "licence"}


def table_digest(table: "pa.Table") -> str:
    """SHA-256 of the values and types of each column of `table`, and of its text metadata.

    The order of rows matters; the order of columns does not. Raises FlowmodelError for a column with nulls or with a type that no
    table of the project has.
    """
    digest = hashlib.sha256()
    for key, text in sorted((table.schema.metadata or {}).items()):
        if not key.startswith(b"ARROW:"):
            digest.update(b"%b=%b\n" % (key, text))
    for name in sorted(table.column_names):
        column = table[name]
        digest.update(f"{FORMER_COLUMNS.get(name, name)}:{len(column)}\n".encode())
        if column.null_count:
            raise FlowmodelError(f"column '{name}': holds {column.null_count} nulls; every value must be given")
        _add(digest, column.combine_chunks() if column.num_chunks != 1 else column.chunk(0), name)
    return digest.hexdigest()


def tensors_digest(tensors: "Mapping[str, Tensor]") -> str:
    """SHA-256 of the names, dtypes, shapes and values of tensors on the CPU."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


def _add(digest: Any, array: "pa.Array", name: str) -> None:
    import pyarrow as pa
    import pyarrow.types as types

    kind = array.type
    if types.is_string(kind) or types.is_large_string(kind) or types.is_binary(kind) or types.is_large_binary(kind):
        is_text = types.is_string(kind) or types.is_large_string(kind)
        large = array.cast(pa.large_binary())
        lengths = np.diff(_offsets(large))
        _numbers(digest, "text" if is_text else "bytes", lengths)
        first, last = _offsets(large)[[0, -1]]
        data = large.buffers()[2]
        if data is not None:
            digest.update(memoryview(data)[first:last])
    elif types.is_fixed_size_list(kind):
        digest.update(f"vectors of {kind.list_size}\n".encode())
        _add(digest, array.flatten(), name)
    elif types.is_list(kind) or types.is_large_list(kind):
        _numbers(digest, "lists", array.value_lengths().to_numpy(zero_copy_only=False).astype("<i8"))
        _add(digest, array.flatten(), name)
    elif types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind):
        _numbers(digest, str(kind), array.to_numpy(zero_copy_only=False))
    else:
        raise FlowmodelError(f"column '{name}': {kind} is not a type of this project's tables")


def _offsets(array: "pa.LargeBinaryArray") -> np.ndarray:
    """The byte offset of each value in the array, followed by the end of the last one."""
    buffer = array.buffers()[1]
    return np.frombuffer(buffer, np.int64)[array.offset : array.offset + len(array) + 1] if buffer else np.zeros(1, np.int64)


def _numbers(digest: Any, kind: str, values: np.ndarray) -> None:
    little_endian = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False))
    digest.update(f"{kind} {little_endian.size}\n".encode())
    digest.update(little_endian.data)
