"""Files that are either whole or absent, and the digests that name their content.

Everything the project writes goes through :func:`atomic_path`: a temporary file in the same folder, fsync, rename. A reader
therefore never meets a half-written file, also after a power cut or `kill -9`. Who may read a file is decided by the umask
alone, whatever library writes it.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from flowmodel.errors import FlowmodelError

if TYPE_CHECKING:  # drawing needs no tables: pyarrow is imported where one is read or written
    import pyarrow as pa

_TICK_NS = 20_000_000
_digests: dict[tuple[int, ...], str] = {}


@dataclass(frozen=True)
class Artifact:
    """A finished file and the digest of its content: what assets pass to one another and report as data version.

    Of a table that is a digest of its values (:func:`flowmodel.content.table_digest`), of anything else the SHA-256 of its bytes.
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

    Raises FlowmodelError when the folder may not be written.
    """
    path = Path(path)
    # The suffix is kept because some writers choose the format by it.
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
        temporary.chmod(mode)  # safetensors gives its files to their owner alone
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        fsync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def fsync_folder(folder: Path) -> None:
    if os.name != "posix":  # Windows can't open a folder; its rename is journalled
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def permission_denied(path: Path, what: Literal["read", "write"]) -> FlowmodelError:
    """What a second user of a store is told: the file is there, and is what it should be, but belongs to somebody else."""
    return FlowmodelError(f"{path}: permission denied; ask the owner of {path.parent} for the right to {what} there")


def require_readable(path: Path, kind: str = "file") -> None:
    """Raises FlowmodelError when the file is missing or may not be read. safetensors calls missing what it may not read."""
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
    """Raises FlowmodelError when the file is missing, may not be read or is not JSON."""
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
    import pyarrow.parquet as pq

    table = table.replace_schema_metadata({k: str(v) for k, v in (metadata or {}).items()} or None)
    with atomic_path(path) as temporary:
        floats, others = _columns(table.schema)
        pq.write_table(
            table,
            temporary,
            compression="zstd",
            compression_level=3,  # most of it is pictures and vectors, which a higher level hardly makes smaller
            use_dictionary=others,
            use_byte_stream_split=floats or False,  # their bytes of equal rank stand together: vectors are a quarter smaller
        )
    return Path(path)


def _columns(schema: "pa.Schema") -> tuple[list[str], list[str]]:
    """Parquet's names of the columns of floating point numbers, in lists too, and of all others."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_metadata(schema, sink)
    parquet = pq.read_metadata(pa.BufferReader(sink.getvalue())).schema
    columns = [parquet.column(number) for number in range(len(parquet.names))]
    floats = [c.path for c in columns if c.physical_type in ("FLOAT", "DOUBLE") or c.logical_type.type == "FLOAT16"]
    return floats, [c.path for c in columns if c.path not in floats]


def read_parquet(path: Path, columns: list[str] | None = None) -> "pa.Table":
    """The table, with the current names of columns that an earlier release wrote by another one.

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
    except (pa.ArrowInvalid, OSError) as error:
        raise FlowmodelError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from None
    if missing := [name for name in columns or [] if name not in table.column_names]:
        raise FlowmodelError(f"{path}: column(s) missing: {', '.join(missing)}")
    return table


def parquet_metadata(path: Path) -> dict[str, str]:
    """The text metadata that :func:`write_parquet` stored; raises FlowmodelError when the file can't be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        raw = pq.read_schema(path).metadata or {}
    except PermissionError:
        raise permission_denied(Path(path), "read") from None
    except (FileNotFoundError, pa.ArrowInvalid, OSError) as error:
        raise FlowmodelError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from None
    return {key.decode(): value.decode() for key, value in raw.items() if not key.startswith(b"ARROW:")}


def keep_by_content(folder: Path, write: Callable[[Path], Artifact]) -> Artifact:
    """What `write` writes to the path that it is given, a .parquet file in `folder` that is named by its content.

    Files of other content that lie there stay, so that readers are not affected. One of this content is left as it is,
    unless it was damaged.
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
    """Whether there is a whole file at `path`, and `digest` that of its content."""
    try:
        return path.is_file() and Artifact.of(path).digest == digest
    except FlowmodelError:
        return False


def share(copy: Path, original: Path) -> None:
    """Make `copy` a second name of `original`, whose bytes it has already, where the file system can do that. For files that are
    only ever replaced, never changed in place.
    """
    temporary, before = copy.with_name(f".{uuid4().hex}"), _state(original.stat())
    try:
        os.link(original, temporary)
        temporary.replace(copy)
    except OSError:
        temporary.unlink(missing_ok=True)
    after = _state(original.stat())
    # A name more is a new time of change, but no new content: the file need not be hashed again.
    if before in _digests and after[:-1] == before[:-1]:
        _digests[after] = _digests[before]


def sha256_bytes(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of the file's bytes, 64 hexadecimal digits.

    A process reads a file once, and again only when inode, size or times tell that it has changed since.
    """
    with Path(path).open("rb") as file:
        began, status = time.time_ns(), os.fstat(file.fileno())
        key = _state(status)
        if (known := _digests.get(key)) is not None:
            return known
        digest = _file_digest(file)
    # A change within one tick of the file system's clock would leave the same times.
    if began - status.st_ctime_ns > _TICK_NS:
        _digests[key] = digest
    return digest


def _state(status: os.stat_result) -> tuple[int, ...]:
    """Tells a file's content from a later one, as far as the file system does; the time of change stands last."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _file_digest(file: BufferedReader) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_json(value: Any) -> str:
    """Digest of a JSON value; key order and white space don't matter."""
    return sha256_bytes(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())
