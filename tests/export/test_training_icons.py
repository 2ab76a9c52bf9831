"""A page's data about its model's training icons."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from flowmodel.data.dataset import FILES
from flowmodel.errors import FlowmodelError
from flowmodel.export.training_icons import GRID, WIDTH, TrainingIcons, codes, near
from flowmodel.files import read_parquet
from flowmodel.store import PROJECT_ROOT


@pytest.fixture(scope="module")
def icons(prepared) -> TrainingIcons:
    return TrainingIcons.of_table(read_parquet(prepared.dataset.folder / FILES["icons"]), 16, 2000)


def test_distances_between_codes_are_those_of_the_averaged_images(icons):
    images = icons.rgba_N4HW[:200].repeat(4, axis=-1).repeat(4, axis=-2)  # averaging restores them
    flat_ND = icons.rgba_N4HW[:200].reshape(200, -1) / 255
    found = np.linalg.norm(codes(images)[:100] - codes(images)[100:], axis=1) / np.sqrt(WIDTH * 4 * GRID * GRID)
    expected = np.sqrt(np.square(flat_ND[:100] - flat_ND[100:]).mean(axis=1))
    assert np.abs(found / expected - 1).mean() < 0.1


def test_half_of_the_icons_are_near_their_nearest(icons):
    codes_NK = codes(icons.rgba_N4HW[:300])
    distances = np.linalg.norm(codes_NK[:, None] - codes_NK, axis=-1) + np.diag(np.full(300, np.inf))
    expected = np.median(distances.min(axis=1)) / np.sqrt(WIDTH * 4 * GRID * GRID)
    assert near(codes_NK) == pytest.approx(expected, rel=1e-3) and near(codes_NK[:1]) == 0


def test_only_icons_that_may_be_passed_on_are_shown(icons, tmp_path):
    shown_N = np.arange(len(icons.names)) % 3 == 0
    replace(icons, shown_N=shown_N).write(tmp_path / "some")
    told = json.loads((tmp_path / "some" / "icons.json").read_text(encoding="utf-8"))
    assert [number >= 0 for number in told["thumbnails"]] == shown_N.tolist() and told["of"] == 2000
    with Image.open(tmp_path / "some" / "thumbnails.webp") as sheet:
        assert sheet.width == told["tile"] * told["columns"]
        places = -(-int(shown_N.sum()) // told["columns"])
        assert sheet.height == told["tile"] * places
    replace(icons, shown_N=np.zeros_like(shown_N)).write(tmp_path / "none")
    assert sorted(path.name for path in (tmp_path / "none").iterdir()) == ["codes.bin", "icons.json"]


def test_they_are_found_in_the_data_set_of_the_training_or_by_its_sources(tiny_training, tmp_path):
    checkpoint, store = tiny_training.checkpoint, tiny_training.store
    found = TrainingIcons.find(checkpoint, store, None, print)
    by_sources = TrainingIcons.find(checkpoint, store, PROJECT_ROOT / "pipelines" / "sources.yaml", print)
    assert found and by_sources and found.of == len(checkpoint.header.trained_ids)
    assert found.names == by_sources.names and np.array_equal(found.rgba_N4HW, by_sources.rgba_N4HW)
    assert found.shown_N.all()  # Noto may be passed on
    assert TrainingIcons.find(checkpoint, replace(store, root=tmp_path), None, print) is None
    Image.new("RGBA", (32, 32), "red").save(tmp_path / "red.png")
    (tmp_path / "captions.csv").write_text("file,name,keywords\nred.png,red square,\n")
    (tmp_path / "other.yaml").write_text("sources:\n  - {name: other, kind: folder, path: .}\n")
    with pytest.raises(FlowmodelError, match=r"other\.yaml: lists none of the icons"):
        TrainingIcons.find(checkpoint, store, tmp_path / "other.yaml", print)
