"""Whole or absent, and named by content."""

import pyarrow as pa
import pytest

from flowmodel.errors import FlowmodelError
from flowmodel.files import (
    Artifact,
    atomic_path,
    parquet_metadata,
    read_json,
    read_parquet,
    sha256_json,
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
