"""Atomic writes, and digests of content."""

import hashlib
import os
import time

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import save_file

from flowmodel import files
from flowmodel.errors import FlowmodelError
from flowmodel.files import (
    Artifact,
    atomic_path,
    parquet_metadata,
    read_json,
    read_parquet,
    require_readable,
    sha256_file,
    sha256_json,
    share,
    write_bytes,
    write_json,
    write_parquet,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = write_bytes(tmp_path / "folder" / "file.txt", b"old")

    def fail() -> None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"half of the ne")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_bytes() == b"old" and list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_the_umask_alone_decides_who_may_read_a_file(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        with atomic_path(tmp_path / "weights.safetensors") as temporary:
            save_file({"weights": torch.zeros(1)}, temporary)
        paths = (
            tmp_path / "weights.safetensors",
            write_json(tmp_path / "values.json", {}),
            write_parquet(tmp_path / "table.parquet", pa.table({"id": ["a"]})),
        )
    finally:
        os.umask(before)
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in paths} == {path.name: oct(mode) for path in paths}


def test_a_file_of_another_user_is_reported_as_such(tmp_path, as_another_user):
    folder = tmp_path / "closed"
    table = write_parquet(folder / "table.parquet", pa.table({"id": ["a"]}))
    values = write_json(folder / "values.json", {})
    for path in (table, values):
        path.chmod(0)
    folder.chmod(0o555)
    with as_another_user():
        for use, path in (
            (read_json, values),
            (read_parquet, table),
            (parquet_metadata, table),
            (require_readable, table),
            (lambda path: write_bytes(path, b""), folder / "new"),
            (lambda path: write_bytes(path, b""), folder / "below" / "new"),
        ):
            with pytest.raises(FlowmodelError, match="permission denied") as caught:
                use(path)
            assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    folder.chmod(0o755)


def test_the_same_table_has_the_same_digest(tmp_path):
    table = pa.table({"id": ["a", "b"], "vector": [[1.0], [2.0, 3.0]]})
    first = Artifact.of(write_parquet(tmp_path / "1.parquet", table, {"encoder": "x"}))
    second = Artifact.of(write_parquet(tmp_path / "2.parquet", table, {"encoder": "x"}))
    other = Artifact.of(write_parquet(tmp_path / "3.parquet", table, {"encoder": "y"}))
    assert first.digest == second.digest != other.digest
    assert parquet_metadata(first.path) == {"encoder": "x"}
    assert read_parquet(first.path, ["id"]).column_names == ["id"]


def test_digest_of_json_ignores_the_order_of_keys():
    assert sha256_json({"a": 1, "b": [1, 2]}) == sha256_json({"b": [1, 2], "a": 1}) != sha256_json({"a": 1, "b": [2, 1]})


def test_unreadable_files_are_named(tmp_path):
    broken = write_bytes(tmp_path / "broken", b"neither JSON nor Parquet")
    table = write_parquet(tmp_path / "table.parquet", pa.table({"id": ["a"]}))
    for read, path, words in (
        (read_json, tmp_path / "gone", "no such file"),
        (read_json, broken, "not valid JSON"),
        (read_parquet, tmp_path / "gone", "no such file"),
        (read_parquet, broken, "not a readable Parquet file"),
        (parquet_metadata, broken, "not a readable Parquet file"),
        (lambda path: read_parquet(path, ["id", "text"]), table, "text"),
    ):
        with pytest.raises(FlowmodelError, match=words) as caught:
            read(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_json_survives_a_round_trip(tmp_path):
    assert read_json(write_json(tmp_path / "x.json", {"name": "Ålesund", "n": [1, 2.5, None]})) == {
        "name": "Ålesund",
        "n": [1, 2.5, None],
    }


def test_a_file_is_hashed_once_a_process_until_it_changes(tmp_path, monkeypatch):
    path, read = write_bytes(tmp_path / "weights", b"first"), []
    digest_of = files._file_digest
    monkeypatch.setattr(files, "_file_digest", lambda file: read.append(1) or digest_of(file))
    time.sleep(0.05)  # longer than a tick of the file system's clock
    first = sha256_file(path)
    assert sha256_file(path) == first == hashlib.sha256(b"first").hexdigest() and len(read) == 1
    path.write_bytes(b"other")  # in place, of the same length
    assert sha256_file(path) == hashlib.sha256(b"other").hexdigest() and len(read) == 2


def test_a_second_name_is_one_file_and_no_reason_to_hash_it_again(tmp_path, monkeypatch):
    original, copy = tmp_path / "original", tmp_path / "copy"
    for path in (original, copy):
        path.write_bytes(b"the same")
    time.sleep(0.1)  # a file that has only just changed is not remembered
    digest = sha256_file(original)
    share(copy, original)
    assert copy.stat().st_ino == original.stat().st_ino
    monkeypatch.setattr(files, "_file_digest", lambda file: pytest.fail("hashed again"))
    assert sha256_file(copy) == sha256_file(original) == digest


def test_a_digest_is_not_remembered_of_a_file_that_may_still_be_changing(tmp_path):
    path = tmp_path / "weights"
    for content in (b"first", b"other") * 20:
        path.write_bytes(content)
        assert sha256_file(path) == hashlib.sha256(content).hexdigest()


def test_vectors_come_back_exactly_and_take_less_room_than_their_numbers(tmp_path):
    numbers = np.random.default_rng(0).normal(0, 0.05, 40_000)
    pooled = pa.FixedSizeListArray.from_arrays(pa.array(numbers.astype(np.float32)), 400)
    tokens = pa.ListArray.from_arrays(
        np.arange(0, 101, dtype=np.int32), pa.FixedSizeListArray.from_arrays(pa.array(numbers.astype(np.float16)), 400)
    )
    table = pa.table({"text": [f"caption {row % 10}" for row in range(100)], "pooled": pooled, "tokens": tokens})
    path = write_parquet(tmp_path / "vectors.parquet", table)
    assert read_parquet(path).equals(table)
    assert path.stat().st_size < 0.95 * (numbers.size * 4 + numbers.size * 2)
