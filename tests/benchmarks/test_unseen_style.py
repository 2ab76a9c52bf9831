"""A set that is a copy of icons that the model knows: what should be found is known."""

import csv

import pytest
import yaml

from benchmarks.unseen_style import measure
from flowmodel.data.prepare import prepare
from flowmodel.evaluation.features import load_extractor
from flowmodel.evaluation.real_icons import RealIcons
from flowmodel.model.generator import Generator
from flowmodel.store import PROJECT_ROOT, Store
from flowmodel.tables import read_ok_icons

ICONS = 12


@pytest.fixture(scope="module")
def rows(tiny_training, tmp_path_factory):
    """What is measured on pictures of trained icons and one that nobody has trained on, under another style's name."""
    folder = tmp_path_factory.mktemp("copied")
    generator = Generator.load(tiny_training.checkpoint, "cpu")
    icons = read_ok_icons(PROJECT_ROOT / "data" / "bundled" / "noto.parquet", ["id", "key", "name", "png"])
    is_trained = icons["id"].isin(generator.trained_ids)
    with (folder / "captions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "name"])
        for icon in [*icons[is_trained].head(ICONS).itertuples(), *icons[~is_trained].head(1).itertuples()]:
            (folder / f"{icon.key}.png").write_bytes(icon.png)
            writer.writerow([f"{icon.key}.png", icon.name])
    sources = folder.parent / "sources.yaml"
    sources.write_text(yaml.safe_dump({"sources": [{"name": "copy", "kind": "folder", "path": str(folder), "style": "copied"}]}))
    store = Store(tmp_path_factory.mktemp("store"))
    extractor, cache = load_extractor(), tiny_training.store.root / "features"
    own = RealIcons.load(tiny_training.dataset, extractor, cache)
    unseen = RealIcons.load(prepare(tiny_training.recipe, store, sources), extractor, cache)
    return {row.pop("pictures"): row for row in measure(generator, own, unseen, icons=100)}


def test_each_way_of_asking_is_measured_on_the_known_concepts(rows):
    asked = {name for name in rows if name.startswith("drawn by")}
    assert asked == {"drawn by name", "drawn by name and its style", "drawn by name and the style of noto"}
    assert {row["icons"] for row in rows.values()} == {ICONS}
    assert all(0 <= row["top1"] <= row["top5"] <= 1 and 0 <= row["alpha_iou"] <= 1 for row in rows.values())


def test_real_pictures_of_the_same_look_are_all_found_and_what_30_steps_draw_is_not(rows):
    real = rows["real ones of noto"]
    assert real["top1"] == real["top5"] == 1 and real["kid"] < 0 and real["alpha_iou"] == pytest.approx(1, abs=0.02)
    assert all(row["top1"] < 1 and row["kid"] > real["kid"] for name, row in rows.items() if name.startswith("drawn"))
