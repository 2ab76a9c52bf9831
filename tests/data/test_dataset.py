"""A prepared data set: its contents, its name, and that it never changes."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from pydantic import Field, create_model

from flowmodel.data.dataset import DESCRIPTION, FILES, IconDataset, write_dataset
from flowmodel.data.normalize import normalize_icons
from flowmodel.data.prepare import Preparation
from flowmodel.data.sources.config import BundledSource
from flowmodel.data.sources.context import SourceContext
from flowmodel.errors import FlowmodelError
from flowmodel.files import Artifact, read_json, read_parquet, sha256_file, write_json
from flowmodel.images.rgba import encode_png
from flowmodel.recipes.schema import DataConfig
from flowmodel.store import Store
from flowmodel.text import vectors
from flowmodel.training.loop import training_digest
from tests.conftest import Prepared
from tests.data.helpers import BLUE, GREEN, RED, icon_row, plain, write_icons

DATA = DataConfig(size=16, selection=None)


def _prepare(root: Path, data: DataConfig = DATA, level: int = 6, **changed: bytes) -> IconDataset:
    """Three icons; `level` is that of their PNGs' compression, `changed` are other images by key."""
    colors = {"a": RED, "b": GREEN, "c": BLUE}
    pngs = {key: encode_png(plain((*color[:3], 100), 40, 40), level) for key, color in colors.items()}
    rows = [icon_row(key, png=png) for key, png in (pngs | changed).items()]
    rows.append(icon_row("q", status="quarantined", reason=f"whatever a decoder said at level {level}"))
    write_icons(root / "set.parquet", rows)
    store = Store(root / "store")
    source = BundledSource(name="test", kind="bundled", path="set.parquet")
    steps = Preparation(store, data, [source], SourceContext(root, store.downloads))
    normalized = steps.normalized_icons({"test": steps.icons(source).artifact})
    captions = steps.captions(normalized)
    splits = steps.splits(normalized, steps.duplicates(normalized))
    return steps.dataset(normalized, captions, steps.caption_embeddings(captions).artifact, splits)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> IconDataset:
    return _prepare(tmp_path_factory.mktemp("dataset"))


def test_everything_is_found_by_the_icon_s_number_and_the_caption_s(dataset: IconDataset) -> None:
    assert dataset.ids == ("test/a", "test/b", "test/c") and dataset.row_of["test/c"] == 2
    assert dataset.rgba_N4HW.shape == (3, 4, 16, 16)
    assert dataset.rgba_N4HW[0, :, 3, 3].tolist() == [86, 8, 8, 100], "premultiplied"
    assert dataset.icons["name"].tolist() == ["a", "b", "c"] and not {"rgba", "reason"} & set(dataset.icons.columns)
    captions = dataset.captions
    assert len(captions.table) == len(captions.pooled_TD) == len(captions.tokens) == 3 * len(captions.table["template"].unique())
    np.testing.assert_allclose(np.linalg.norm(captions.pooled_TD, axis=1), 1, atol=1e-5)
    assert {tokens.shape[1] for tokens in captions.tokens} == {dataset.text_width} == {384}
    assert set(dataset.splits) == set(dataset.ids)
    assert sum(len(dataset.ids_of_split(split)) for split in set(dataset.splits.values())) == 3
    (terms,) = dataset.terms(["test/a"])
    assert terms.source == "test" and dataset.manifest(["test/a"])["id"].tolist() == ["test/a"]


def test_what_is_asked_for_is_read_once(dataset: IconDataset) -> None:
    opened = IconDataset.open(dataset.folder)
    assert opened == dataset and not {"captions", "splits", "rgba_N4HW"} & vars(opened).keys(), "nothing is read before"
    assert opened.captions is opened.captions and opened.rgba_N4HW is opened.rgba_N4HW


def test_the_same_content_is_the_same_data_set_wherever_it_is_made(dataset: IconDataset, tmp_path: Path) -> None:
    assert _prepare(tmp_path).digest == dataset.digest
    assert dataset.folder.name == dataset.digest[:16]


def test_neither_the_pngs_compression_nor_a_decoder_s_words_rename_it(dataset: IconDataset, tmp_path: Path) -> None:
    other = _prepare(tmp_path, level=9)
    tables = [next((each.folder.parents[1] / "icons" / "test").glob("*.parquet")) for each in (dataset, other)]
    assert Artifact.of(tables[0]).digest != Artifact.of(tables[1]).digest, "the sources are not the same bytes"
    assert other.digest == dataset.digest and other.pixels_digest == dataset.pixels_digest


def test_neither_another_way_to_write_parquet_nor_vectors_last_bits_rename_it(
    dataset: IconDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(path: Path, table, metadata=None) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.replace_schema_metadata(metadata), path, compression="gzip", row_group_size=1, use_dictionary=False)
        return path

    for module in ("flowmodel.tables", "flowmodel.text.vectors"):
        monkeypatch.setattr(f"{module}.write_parquet", write)
    monkeypatch.setattr(vectors, "CHUNK", 2)
    other = _prepare(tmp_path)
    for file in FILES.values():
        assert sha256_file(other.folder / file) != sha256_file(dataset.folder / file)
    assert other.digest == dataset.digest


def test_a_pixel_or_a_setting_renames_it(dataset: IconDataset, tmp_path: Path) -> None:
    image = plain((*RED[:3], 100), 40, 40)
    image[:8, :8, 0] += 8
    others = [
        _prepare(tmp_path / "1", a=encode_png(image)),
        _prepare(tmp_path / "2", DATA.model_copy(update={"color": "rgb"})),
        _prepare(tmp_path / "3", DATA.model_copy(update={"captions": ("name",)})),
    ]
    assert len({dataset.digest, *(other.digest for other in others)}) == 4
    assert others[1].contents == dataset.contents and others[1].folder != dataset.folder


def test_a_new_field_with_its_default_renames_neither_data_set_nor_training(prepared: Prepared, tiny_recipe) -> None:
    dataset = prepared.dataset
    larger = create_model("LargerData", __base__=DataConfig, trim_alpha=(bool, Field(False)))
    training = create_model("LargerTraining", __base__=type(tiny_recipe.training), magic=(int, Field(3)))
    data = larger(**tiny_recipe.data.model_dump())
    files = {name: Artifact.of(dataset.folder / file) for name, file in FILES.items()}
    (embeddings, *_) = prepared.store.step("caption_embeddings").glob("*.parquet")
    again = write_dataset(prepared.store, data, files, Artifact.of(embeddings))
    assert again.digest == dataset.digest

    recipe = tiny_recipe.model_copy(update={"data": data, "training": training(**tiny_recipe.training.model_dump())})
    assert training_digest(recipe, dataset) == training_digest(tiny_recipe, dataset)
    another = tiny_recipe.model_copy(update={"training": training(**tiny_recipe.training.model_dump() | {"magic": 4})})
    assert training_digest(another, dataset) != training_digest(tiny_recipe, dataset)


def test_a_selection_counts_by_what_it_lists_and_stays_what_it_was(tmp_path: Path) -> None:
    one, same, other = (tmp_path / f"{name}.txt" for name in ("one", "same", "other"))
    for path, keys in ((one, "a\nb\n"), (same, "# the same\na  red\nb\n"), (other, "a\n")):
        path.write_text(keys)
    split = {"split": DATA.split.model_copy(update={"validation": 0.0, "unseen_concept": 0.0})}
    selected = [_prepare(tmp_path, DATA.model_copy(update={"selection": str(path)} | split)) for path in (one, same, other)]
    assert selected[0].digest == selected[1].digest != selected[2].digest
    assert selected[2].ids_of_split("train") == ["test/a"]
    one.write_text("c\n")
    assert selected[0].ids_of_split("train") == ["test/a", "test/b"]
    assert selected[0].ids_of_split("train", DATA) == ["test/a", "test/b", "test/c"]


def test_what_lies_there_already_is_left_as_it_is(tmp_path: Path) -> None:
    first = _prepare(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file() and path.name != "set.parquet"}
    assert _prepare(tmp_path, DATA.model_copy(update={"captions": ("name",)})).folder != first.folder
    assert _prepare(tmp_path).folder == first.folder
    after = {path: path.stat().st_mtime_ns for path in before}
    assert after == before and not [path for path in first.folder.parent.iterdir() if path.name.startswith(".")]


def test_an_interrupted_writer_leaves_no_half_of_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("flowmodel.data.dataset.write_json", stop)
        with pytest.raises(KeyboardInterrupt):
            _prepare(tmp_path)
    assert not list((tmp_path / "store" / "datasets").iterdir())
    assert _prepare(tmp_path).ids


def test_who_comes_second_takes_what_the_first_has_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither process finds a folder; one of them is slightly faster."""
    winner = _prepare(tmp_path / "winner")
    rename = Path.rename

    def late(path: Path, target: Path) -> Path:
        shutil.copytree(winner.folder, target)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", late)
    loser = _prepare(tmp_path / "loser")
    assert loser.digest == winner.digest and [path.name for path in loser.folder.parent.iterdir()] == [loser.folder.name]


def test_a_store_can_be_moved(tmp_path: Path) -> None:
    digest = _prepare(tmp_path / "before").digest
    (tmp_path / "before").rename(tmp_path / "after")
    (folder,) = (tmp_path / "after" / "store" / "datasets").iterdir()
    moved = IconDataset.open(folder)
    assert moved.digest == digest and len(moved.captions.tokens) == len(moved.captions.table)


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_reported_when_it_is_read(name: str, tmp_path: Path) -> None:
    dataset = _prepare(tmp_path)
    file = dataset.folder / FILES[name]
    table = read_parquet(file)
    pq.write_table(table.slice(1), file)
    opened = IconDataset.open(dataset.folder)
    says = rf"{FILES[name]}: changed since the data set was prepared; remove .* and prepare it again"
    with pytest.raises(FlowmodelError, match=says):
        getattr(opened, name)


def test_what_is_not_a_data_set_gives_one_clear_line(dataset: IconDataset, tmp_path: Path) -> None:
    with pytest.raises(FlowmodelError, match="not a prepared data set"):
        IconDataset.open(tmp_path)
    shutil.copytree(dataset.folder, tmp_path / "copy")
    description = read_json(tmp_path / "copy" / DESCRIPTION)
    write_json(tmp_path / "copy" / DESCRIPTION, description | {"format": 99})
    with pytest.raises(FlowmodelError, match="not a data set of this release; remove the folder and prepare it again"):
        IconDataset.open(tmp_path / "copy")
    (tmp_path / "copy" / FILES["splits"]).unlink()
    with pytest.raises(
        FlowmodelError, match=r"splits\.parquet: missing from a prepared data set; remove .* and prepare it again"
    ):
        IconDataset.open(tmp_path / "copy")


def test_no_usable_icon_gives_one_clear_line(tmp_path: Path) -> None:
    rows = [icon_row("q", status="quarantined", reason="x", png=b"")]
    normalized = normalize_icons({"test": write_icons(tmp_path / "i.parquet", rows)}, 16, tmp_path / "n.parquet")
    with pytest.raises(FlowmodelError, match="no usable icon"):
        write_dataset(Store(tmp_path), DATA, dict.fromkeys(FILES, normalized), normalized)
