"""Atomic file writes, and the digests that name a file's content.

Every write of the project goes through :func:`atomic_path`: a temporary file in the same folder, fsync, rename. A reader
therefore never sees a half-written file, even after a power failure or `kill -9`. The umask alone determines who may read a
file, whichever library writes it.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from flowmodel.errors import FlowmodelError

if TYPE_CHECKING:  # pyarrow is imported where a table is read or written, because sampling does not need it
    import pyarrow as pa

_TICK_NS = 20_000_000
_digests: dict[tuple[int, ...], str] = {}


@dataclass(frozen=True)
class Artifact:
    """A finished file and the digest of its content. Assets pass it on and report the digest as their data version.

    For a table, the digest covers its values (:func:`flowmodel.content.table_digest`); for any other file, it is the SHA-256 of
    its bytes.
    """

    path: Path
    digest: str

    @classmethod
    def of(cls, path: Path) -> "Artifact":
        """Raises FlowmodelError when a table can't be read."""
        path = Path(path)
        if path.suffix != ".parquet":
            return cls(path, sha256_file(path))
        from flowmodel.content import table_digest

        return cls(path, table_digest(read_parquet(path)))


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success fsync it and rename it to `path`, on failure remove it.

    Raises FlowmodelError when the folder is not writable.
    """
    path = Path(path)
    # The suffix is kept because some writers derive the format from it.
    temporary = path.with_name(f".{path.stem}.{uuid4().hex[:8]}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
    except PermissionError:
        raise permission_denied(path, "write") from None
    mode = temporary.stat().st_mode
    temporary.unlink()
    try:
        yield temporary
        temporary.chmod(mode)  # safetensors creates files that only their owner can read
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        fsync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def fsync_folder(folder: Path) -> None:
    if os.name != "posix":  # Windows can't open a folder, and its renames are journaled
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def permission_denied(path: Path, what: Literal["read", "write"]) -> FlowmodelError:
    """The error for a file that exists but belongs to another user of the store."""
    return FlowmodelError(f"{path}: permission denied; ask the owner of {path.parent} for the right to {what} there")


def require_readable(path: Path, kind: str = "file") -> None:
    """Raise FlowmodelError if the file is missing or not readable. safetensors reports unreadable files as missing."""
    try:
        Path(path).open("rb").close()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise FlowmodelError(f"{path}: no such {kind}") from None
    except PermissionError:
        raise permission_denied(Path(path), "read") from None


def write_bytes(path: Path, content: bytes) -> Path:
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return Path(path)


def write_json(path: Path, value: Any) -> Path:
    return write_bytes(path, (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read a JSON file; raises FlowmodelError when it is missing, not readable or not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FlowmodelError(f"{path}: no such file") from None
    except PermissionError:
        raise permission_denied(Path(path), "read") from None
    except json.JSONDecodeError as error:
        raise FlowmodelError(f"{path}: not valid JSON ({error}); remove it and make it again") from None


def write_parquet(path: Path, table: "pa.Table", metadata: Mapping[str, str] | None = None) -> Path:
    """Write `table`, with `metadata` (text to text) in the file's schema metadata."""
    return write_parquet_parts(path, [table], table.schema, metadata)


def write_parquet_parts(
    path: Path, parts: "Iterable[pa.Table]", schema: "pa.Schema", metadata: Mapping[str, str] | None = None
) -> Path:
    """Write a table that comes in parts, each as soon as it comes; otherwise as :func:`write_parquet`."""
    import pyarrow.parquet as pq

    schema = schema.with_metadata({k: str(v) for k, v in (metadata or {}).items()} or None)
    floats, others = _columns(schema)
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(
            temporary,
            schema,
            compression="zstd",
            compression_level=3,  # most of the bytes are images and vectors, which a higher level hardly compresses further
            use_dictionary=others,
            use_byte_stream_split=floats or False,  # byte stream split makes vectors a quarter smaller
        ) as writer,
    ):
        for part in parts:
            writer.write_table(part.replace_schema_metadata(schema.metadata))
    return Path(path)


def _columns(schema: "pa.Schema") -> tuple[list[str], list[str]]:
    """Parquet's names of the floating-point columns (lists included), and of all other columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_metadata(schema, sink)
    parquet = pq.read_metadata(pa.BufferReader(sink.getvalue())).schema
    columns = [parquet.column(number) for number in range(len(parquet.names))]
    floats = [c.path for c in columns if c.physical_type in ("FLOAT", "DOUBLE") or c.logical_type.type == "FLOAT16"]
    return floats, [c.path for c in columns if c.path not in floats]


def read_parquet(path: Path, columns: list[str] | None = None) -> "pa.Table":
    """Read a table. Columns that an earlier release named differently get their current names.

    Raises FlowmodelError when the file is missing, is not Parquet or lacks one of `columns`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from flowmodel.content import FORMER_COLUMNS

    try:
        there = pq.read_schema(path).names
        named = {name: FORMER_COLUMNS[name] for name in FORMER_COLUMNS if name not in there and FORMER_COLUMNS[name] in there}
        table = pq.read_table(path, columns=columns and [named.get(name, name) for name in columns])
        current = {former: name for name, former in named.items()}
        renamed = table.rename_columns([current.get(name, name) for name in table.column_names])
        table = renamed.replace_schema_metadata(table.schema.metadata)
    except FileNotFoundError:
        raise FlowmodelError(f"{path}: no such file") from None
    except PermissionError:
        raise permission_denied(Path(path), "read") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _not_parquet(path, error) from None
    if missing := [name for name in columns or [] if name not in table.column_names]:
        raise FlowmodelError(f"{path}: column(s) missing: {', '.join(missing)}")
    return table


def parquet_metadata(path: Path) -> dict[str, str]:
    """The text metadata that :func:`write_parquet` stored; raises FlowmodelError when the file can't be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        raw = pq.read_schema(path).metadata or {}
        return {key.decode(): value.decode() for key, value in raw.items() if not key.startswith(b"ARROW:")}
    except PermissionError:
        raise permission_denied(Path(path), "read") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _not_parquet(path, error) from None


def _not_parquet(path: Path, error: Exception) -> FlowmodelError:
    return FlowmodelError(f"{path}: not a readable Parquet file ({(str(error).splitlines() or [type(error).__name__])[0][:200]})")


def keep_by_content(folder: Path, write: Callable[[Path], Artifact]) -> Artifact:
    """Let `write` write a temporary file, and move it to a .parquet file in `folder` whose name is its digest.

    Other files in the folder stay, so that their readers are not affected. An existing file with this content is kept unless it
    is damaged.
    """
    temporary = folder / f".{uuid4().hex}.parquet"
    try:
        digest = write(temporary).digest
        path = folder / f"{digest[:16]}.parquet"
        if not is_of_content(path, digest):
            temporary.replace(path)
            fsync_folder(folder)
    finally:
        temporary.unlink(missing_ok=True)
    return Artifact(path, digest)


def is_of_content(path: Path, digest: str) -> bool:
    """Whether the file at `path` exists, is complete, and has the content digest `digest`."""
    try:
        return path.is_file() and Artifact.of(path).digest == digest
    except FlowmodelError:
        return False


def share(copy: Path, original: Path) -> None:
    """Replace `copy` by a hard link to `original`, which has the same bytes, if the file system supports it. Use it only for
    files that are replaced and never changed in place.
    """
    temporary, before = copy.with_name(f".{uuid4().hex}"), _state(original.stat())
    try:
        os.link(original, temporary)
        temporary.replace(copy)
    except OSError:
        temporary.unlink(missing_ok=True)
    after = _state(original.stat())
    # A new link changes the ctime but not the content, so the file need not be hashed again.
    if before in _digests and after[:-1] == before[:-1]:
        _digests[after] = _digests[before]


def sha256_bytes(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of the file's bytes, 64 hexadecimal digits.

    A process hashes a file once, and again only if its inode, size or times have changed.
    """
    with Path(path).open("rb") as file:
        began, status = time.time_ns(), os.fstat(file.fileno())
        key = _state(status)
        if (known := _digests.get(key)) is not None:
            return known
        digest = _file_digest(file)
    # A change within one tick of the file system's clock leaves the times unchanged.
    if began - status.st_ctime_ns > _TICK_NS:
        _digests[key] = digest
    return digest


def _state(status: os.stat_result) -> tuple[int, ...]:
    """The file's identity according to the file system: it changes when the content does. The ctime is last."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _file_digest(file: BufferedReader) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_json(value: Any) -> str:
    """Digest of a JSON value; key order and whitespace don't matter."""
    return sha256_bytes(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())
