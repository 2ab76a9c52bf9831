"""The set is a copy of icons that the initial weights know, so that the results are known."""

import csv

import numpy as np
import pytest
import yaml

from benchmarks.style_adoption import Choice, Judge, choose, fine_tune, measure
from flowmodel.completion.complete import without_held_out_icons
from flowmodel.data.prepare import prepare
from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.features import load_extractor
from flowmodel.evaluation.real_icons import RealIcons
from flowmodel.model.generator import Generator
from flowmodel.store import PROJECT_ROOT, Store
from flowmodel.tables import read_ok_icons
from flowmodel.training.rehearsal import known_names
from tests.training.helpers import changed

KNOWN, UNKNOWN, TRAINED = 14, 2, 6


@pytest.fixture(scope="module")
def measured(tiny_training, tmp_path_factory):
    """The choice, the names of the set, and the rows by their content."""
    folder = tmp_path_factory.mktemp("copied")
    before = Generator.load(tiny_training.checkpoint, "cpu")
    icons = read_ok_icons(PROJECT_ROOT / "data" / "bundled" / "noto.parquet", ["id", "key", "name", "png"])
    is_known = icons["name"].isin(known_names(before.header))
    with (folder / "captions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "name"])
        for icon in [*icons[is_known].head(KNOWN).itertuples(), *icons[~is_known].head(UNKNOWN).itertuples()]:
            (folder / f"{icon.key}.png").write_bytes(icon.png)
            writer.writerow([f"{icon.key}.png", icon.name])
    sources = folder.parent / "sources.yaml"
    sources.write_text(yaml.safe_dump({"sources": [{"name": "copy", "kind": "folder", "path": str(folder), "style": "copied"}]}))
    training = {"init_from": str(tiny_training.checkpoint.path), "steps": 4, "validation": {"every": 0}}
    recipe = without_held_out_icons(changed(tiny_training.recipe, data={"selection": None}, training=training))
    dataset = prepare(recipe, Store(tmp_path_factory.mktemp("store")), sources)
    names, extractor = dataset.icons["name"].tolist(), load_extractor()
    choice = choose(names, known_names(before.header), TRAINED, 100)
    real = RealIcons.load(dataset, extractor, tmp_path_factory.mktemp("features"))
    checkpoint, seconds = fine_tune(recipe, dataset, [real.ids[row] for row in choice.trained], tmp_path_factory.mktemp("run"))
    assert seconds > 0 and sorted(checkpoint.header.trained_ids) == [real.ids[row] for row in choice.trained]
    after = Generator.load(checkpoint, "cpu")
    rows, images = measure(Judge(real, names, choice, extractor), before, after, "copied", ["noto"], tiny_training.dataset)
    assert {len(rgba_N4HW) for rgba_N4HW in images.values()} == {len(choice.asked)}
    return choice, names, {row.pop("images"): row for row in rows}


def test_the_names_that_are_drawn_are_known_and_not_trained_on(measured, tiny_training):
    choice, names, _ = measured
    assert len(choice.trained) == TRAINED and len(choice.asked) > 0
    asked = {names[row] for row in choice.asked}
    assert asked <= set(known_names(tiny_training.checkpoint.header)) - {names[row] for row in choice.trained}
    again = choose(names, known_names(tiny_training.checkpoint.header), TRAINED, 100)
    assert isinstance(again, Choice) and np.array_equal(again.asked, choice.asked)
    with pytest.raises(FlowmodelError, match="the initial weights know none of the set's other names"):
        choose(names, [], TRAINED, 100)


def test_real_images_are_all_found_and_those_of_a_few_steps_are_not(measured):
    choice, _, rows = measured
    assert set(rows) == {
        "initial weights, by name",
        "initial weights, by name, noto style",
        "fine-tuned, by name",
        "fine-tuned, by name, copied style",
        "fine-tuned, its own icons",
        "real icons of noto",
    }
    real = rows["real icons of noto"]
    assert real["icons"] == len(choice.asked) and real["top1"] == 1 and real["alpha_iou"] == pytest.approx(1, abs=0.02)
    assert all(row["top1"] < 1 and row["kid"] > real["kid"] for what, row in rows.items() if not what.startswith("real"))
    assert all(0 <= row[share] <= 1 for row in rows.values() for share in ("top1", "top5", "alpha_iou", "copies"))
