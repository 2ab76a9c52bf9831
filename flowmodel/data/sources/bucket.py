"""Folders in S3-compatible storage, `s3://BUCKET/FOLDER`, as sources.

Objects are copied into the downloads, and only those that have changed are fetched again. Credentials, region and endpoint come
from the environment, under the names that all AWS tools use.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flowmodel.errors import FlowmodelError
from flowmodel.files import write_bytes

if TYPE_CHECKING:
    from pyarrow.fs import S3FileSystem

SCHEME = "s3://"
MAX_BYTES = 8 * 2**30  # of all objects together
_ADDRESS = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^/?#@:]+)*/?")
_SECONDS = 10  # for connecting and for each answer
_AT_ONCE = 16


@dataclass(frozen=True)
class StoredObject:
    """An object below a folder. `file` is relative to it, `changed` is in nanoseconds since 1970."""

    file: str
    size: int
    changed: int


def is_bucket(path: str) -> bool:
    return path.startswith(SCHEME)


def stored_objects(address: str) -> list[StoredObject]:
    """The objects in the folder `address` and its subfolders, without hidden ones.

    Raises FlowmodelError when it is not an address, is missing or can't be read.
    """
    from pyarrow.fs import FileSelector, FileType

    folder = _folder(address)
    with _errors(address):
        found = _storage().get_file_info(FileSelector(folder, recursive=True))
    files = [(info.path.removeprefix(f"{folder}/"), info) for info in found if info.type is FileType.File]
    objects = [StoredObject(file, info.size, info.mtime_ns) for file, info in files if _is_plain(file)]
    return sorted(objects, key=lambda each: each.file)


def mirror(address: str, downloads: Path, log: Callable[[str], None]) -> Path:
    """A folder in `downloads` with the objects of `address`. Raises FlowmodelError as :func:`stored_objects` does."""
    objects, folder = stored_objects(address), _folder(address)
    if (size := sum(each.size for each in objects)) > MAX_BYTES:
        limit = f"a source may have {MAX_BYTES / 2**30:.0f} GiB"
        raise FlowmodelError(f"{address}: has {size / 2**30:.1f} GiB, and {limit}; name a subfolder")
    target = downloads / "s3" / folder
    target.mkdir(parents=True, exist_ok=True)
    wanted = {each.file for each in objects}
    for path in [path for path in target.rglob("*") if path.is_file()]:
        if path.relative_to(target).as_posix() not in wanted:
            path.unlink()
    missing = [each for each in objects if not _is_there(target / each.file, each)]
    storage = _storage()

    def fetch(each: StoredObject) -> None:
        with _errors(address), storage.open_input_stream(f"{folder}/{each.file}") as stream:
            content = stream.read()
        os.utime(write_bytes(target / each.file, content), ns=(time.time_ns(), each.changed))

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        list(threads.map(fetch, missing))
    log(f"{address}: {len(objects):,} files, {len(missing):,} of them fetched")
    return target


def _folder(address: str) -> str:
    """BUCKET/FOLDER."""
    parts = address.removeprefix(SCHEME).rstrip("/")
    if not _ADDRESS.fullmatch(address) or not _is_plain(parts):  # which is not repeated, because it may hold a key
        raise FlowmodelError("path: not of the form s3://BUCKET/FOLDER; keys come from the environment (AWS_ACCESS_KEY_ID)")
    return parts


def _is_plain(path: str) -> bool:
    """Whether it leads nowhere else, and no part of it is hidden."""
    parts = PurePosixPath(path).parts
    return "\\" not in path and "/".join(parts) == path and not any(part.startswith(".") for part in parts)


def _is_there(path: Path, stored: StoredObject) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return status.st_size == stored.size and status.st_mtime_ns == stored.changed


def _storage() -> "S3FileSystem":
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    endpoint = urlsplit(os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "")
    return S3FileSystem(
        endpoint_override=endpoint.netloc or None,
        scheme=endpoint.scheme or "https",
        region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
        connect_timeout=_SECONDS,
        request_timeout=_SECONDS,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=2),
    )


@contextmanager
def _errors(address: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise FlowmodelError(f"{address}: no such folder in the storage; correct the address") from None
    except OSError as error:
        said = " ".join(str(error).split())[:200]
        advice = "see AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL"
        raise FlowmodelError(f"{address}: can't be read ({said}); {advice}") from None
