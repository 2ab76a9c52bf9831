"""Valid tables, and errors of invalid ones."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from flowmodel import tables
from flowmodel.errors import FlowmodelError
from flowmodel.files import Artifact, read_parquet, write_parquet
from flowmodel.store import PROJECT_ROOT
from flowmodel.tables import CAPTIONS, DUPLICATES, EMOJI_TEXTS, ICONS, Table, caption_vectors
from tests.data.helpers import icon_row

CAPTION = {"caption_id": "a/b#name", "icon_id": "a/b", "text": "a cat", "template": "name", "language": "en"}


def test_what_is_written_is_read_again_with_the_types_of_the_definition(tmp_path: Path) -> None:
    rows = [icon_row("b", keywords=["x", "y"], captions=[]), icon_row("a", captions=["one"])]
    path = ICONS.write(tmp_path / "icons.parquet", rows, {"made": "here"}).path
    assert read_parquet(path).schema.equals(ICONS.arrow)
    read = ICONS.read(path)
    assert read["id"].tolist() == ["test/b", "test/a"] and [list(words) for words in read["keywords"]] == [["x", "y"], []]
    assert read["png"].tolist() == [row["png"] for row in rows]


def test_a_table_with_a_column_by_its_old_name_is_read_and_has_the_same_digest(tmp_path: Path) -> None:
    rows = [icon_row("b", license="MIT"), icon_row("a", license="CC0-1.0")]
    current = ICONS.write(tmp_path / "current.parquet", rows)
    columns = {"licence" if name == "license" else name: column for name, column in ICONS.columns.items()}
    former = Table("icons", columns).write(
        tmp_path / "former.parquet",
        [{"licence" if name == "license" else name: value for name, value in row.items()} for row in rows],
    )
    assert former.digest == current.digest == Artifact.of(former.path).digest
    assert ICONS.read(former.path)["license"].tolist() == ["MIT", "CC0-1.0"]
    assert read_parquet(former.path, ["id", "license"]).column_names == ["id", "license"]


def test_rows_and_a_frame_give_the_same_file_and_no_rows_a_table_of_the_same_columns(tmp_path: Path) -> None:
    as_rows = CAPTIONS.write(tmp_path / "rows.parquet", [CAPTION])
    as_tuples = CAPTIONS.write(tmp_path / "tuples.parquet", [tuple(CAPTION.values())])
    as_frame = CAPTIONS.write(tmp_path / "frame.parquet", pd.DataFrame([CAPTION]))
    assert as_rows.digest == as_tuples.digest == as_frame.digest
    assert read_parquet(CAPTIONS.write(tmp_path / "none.parquet", []).path).schema.equals(CAPTIONS.arrow)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"icon_id": "no slash"}, r"column 'icon_id' breaks the contract \(.*first offending value: 'no slash'"),
        ({"text": ""}, r"column 'text' breaks the contract"),
        ({"language": "English"}, r"column 'language' .*'English'"),
        ({"text": None}, r"column 'text' breaks the contract \(1 values are missing\)"),
        ({"text": 3}, r"breaks the contract .*column text"),
    ],
)
def test_a_value_that_breaks_the_contract_is_named_with_file_and_column_and_nothing_is_written(
    tmp_path: Path, changed: dict, reason: str
) -> None:
    with pytest.raises(FlowmodelError, match=rf"c\.parquet: table 'captions'.*{reason}"):
        CAPTIONS.write(tmp_path / "c.parquet", [CAPTION, CAPTION | {"caption_id": "other"} | changed])
    assert not list(tmp_path.iterdir())


def test_an_id_that_is_there_twice_is_named() -> None:
    with pytest.raises(FlowmodelError, match=r"'captions', column 'caption_id' .*unique.*'a/b#name'"):
        CAPTIONS.build([CAPTION, CAPTION], where="here")


def test_columns_that_lack_are_too_many_or_stand_in_another_order_are_refused() -> None:
    good = CAPTIONS.build([CAPTION], where="here")
    for names, reason in (
        (["caption_id", "icon_id", "text", "template"], "missing or unknown: language"),
        (["icon_id", "caption_id", "text", "template", "language"], "the order is caption_id, icon_id"),
    ):
        with pytest.raises(FlowmodelError, match=reason):
            CAPTIONS.check(good.select(names), where="here")
    with pytest.raises(FlowmodelError, match="missing or unknown: more"):
        CAPTIONS.check(good.append_column("more", pa.array(["x"])), where="here")


def test_rows_and_frames_with_an_unknown_or_without_a_known_column_are_refused_and_lose_nothing_in_silence() -> None:
    for rows in ([CAPTION | {"more": "x"}], pd.DataFrame([CAPTION | {"more": "x"}])):
        with pytest.raises(FlowmodelError, match=r"here: table 'captions' breaks the contract \(unknown: more\)"):
            CAPTIONS.build(rows, where="here")
    with pytest.raises(FlowmodelError, match=r"here: table 'captions' .*language"):
        CAPTIONS.build([{name: value for name, value in CAPTION.items() if name != "language"}], where="here")
    assert CAPTIONS.build([dict(reversed(CAPTION.items()))], where="here").column_names == CAPTIONS.arrow.names


def test_another_type_in_a_file_is_refused_although_its_values_would_do(tmp_path: Path) -> None:
    pair = {"icon_a": "a/b", "icon_b": "a/c", "cluster": "a/b", "identical": False, "hash_distance": 3, "pixel_distance": 0.5}
    table = DUPLICATES.build([pair], where="here")
    floats = table.set_column(4, "hash_distance", table["hash_distance"].cast(pa.float64()))
    path = write_parquet(tmp_path / "d.parquet", floats)
    with pytest.raises(FlowmodelError, match=r"d\.parquet: .*'hash_distance' .*is double, not int64"):
        DUPLICATES.read(path)


def test_vectors_of_another_width_are_refused() -> None:
    def vectors(width: int) -> pa.Table:
        row = {"caption_id": "a/b#name", "text": "x", "pooled": np.zeros(width), "tokens": [np.zeros(width)] * 2}
        return pa.Table.from_pylist([row], schema=caption_vectors(width).arrow)

    caption_vectors(4).check(vectors(4), where="here")
    with pytest.raises(FlowmodelError, match="column 'pooled'"):
        caption_vectors(4).check(vectors(3), where="here")


def test_the_bundled_files_keep_their_contracts() -> None:
    assert len(ICONS.read(PROJECT_ROOT / "data" / "bundled" / "noto.parquet")) > 1000
    assert len(EMOJI_TEXTS.read(PROJECT_ROOT / "data" / "bundled" / "emojibase.parquet")) > 10_000


def test_every_column_says_what_it_means() -> None:
    defined = [table for table in vars(tables).values() if isinstance(table, Table)] + [caption_vectors(4)]
    assert len(defined) >= 6
    assert all(column.description for table in defined for column in table.columns.values())
