"""A table's digest is that of its values."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flowmodel.content import parquet_digest, table_digest
from flowmodel.errors import FlowmodelError
from flowmodel.files import Artifact


def _columns() -> dict[str, pa.Array]:
    return {
        "text": pa.array(["a", "", "héart"]),
        "bytes": pa.array([b"x", b"", b"\x00y"]),
        "words": pa.array([["a", "b"], [], ["c"]]),
        "vector": pa.array([[1.0, 2.0]] * 3, pa.list_(pa.float32(), 2)),
        "tokens": pa.array([[[1, 2]], [], [[3, 4], [5, 6]]], pa.list_(pa.list_(pa.int16(), 2))),
        "flag": pa.array([True, False, True]),
        "number": pa.array([1, 2, 3]),
    }


@pytest.mark.parametrize(
    "how",
    [
        {"compression": "gzip", "compression_level": 9},
        {"compression": "snappy", "data_page_version": "2.0"},
        {"use_dictionary": False, "row_group_size": 1, "version": "1.0"},
        {"write_statistics": False, "store_schema": True},
    ],
)
def test_how_a_file_is_written_does_not_matter(tmp_path, how):
    table = pa.table(_columns())
    plain, other = tmp_path / "plain.parquet", tmp_path / "other.parquet"
    pq.write_table(table, plain)
    pq.write_table(table, other, **how)
    assert plain.read_bytes() != other.read_bytes()
    assert Artifact.of(plain).digest == Artifact.of(other).digest == table_digest(table)
    assert parquet_digest(plain) == parquet_digest(other) == table_digest(table)


def test_a_file_that_is_read_in_parts_has_the_same_digest(tmp_path):
    table = pa.concat_tables([pa.table(_columns())] * 1000).replace_schema_metadata({"size": "16"})
    pq.write_table(table, tmp_path / "long.parquet", row_group_size=700)
    pq.write_table(table.slice(0, 0), tmp_path / "empty.parquet")
    assert parquet_digest(tmp_path / "long.parquet") == table_digest(table.combine_chunks())
    assert parquet_digest(tmp_path / "empty.parquet") == table_digest(table.slice(0, 0))


def test_neither_chunks_nor_slices_nor_the_width_of_offsets_nor_the_columns_order_matter():
    table = pa.table(_columns())
    pieces = pa.concat_tables([table.slice(0, 1), table.slice(1, 2)])
    wide = table.set_column(0, "text", table["text"].cast(pa.large_string()))
    turned = table.select(table.column_names[::-1])
    assert {table_digest(each) for each in (table, pieces, wide, turned)} == {table_digest(table)}
    assert table_digest(table.slice(1)) == table_digest(pa.table({name: array[1:] for name, array in _columns().items()}))


def test_every_value_every_place_and_the_metadata_count():
    table = pa.table({"text": ["ab", "c"], "words": [["a", "b"], []]})
    others = [
        pa.table({"text": ["a", "bc"], "words": [["a", "b"], []]}),
        pa.table({"text": ["ab", "c"], "words": [["a"], ["b"]]}),
        pa.table({"text": ["c", "ab"], "words": [["a", "b"], []]}),
        pa.table({"text": [b"ab", b"c"], "words": [["a", "b"], []]}),
        pa.table({"texts": ["ab", "c"], "words": [["a", "b"], []]}),
        table.replace_schema_metadata({"seed": "1"}),
        table.slice(1),
    ]
    assert len({table_digest(each) for each in [table, *others]}) == 1 + len(others)


def test_a_digest_is_the_same_on_every_machine_and_in_every_release():
    assert table_digest(pa.table(_columns())) == "f6e9dcc10061efd478bb639128bedf6fa309802f47a1c3018dd0f0c8fa58c72e"


@pytest.mark.parametrize(
    ("array", "says"), [(pa.array([1, None]), "holds 1 nulls"), (pa.array([{"a": 1}]), "struct<a: int64> is not a type")]
)
def test_what_no_table_of_the_project_holds_is_refused(array, says):
    with pytest.raises(FlowmodelError, match=f"column 'x': {says}"):
        table_digest(pa.table({"x": array}))
