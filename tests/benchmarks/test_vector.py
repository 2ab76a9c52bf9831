"""The benchmark of tracing, on the tiny model and the icons that it was trained on."""

import pytest

from benchmarks.vector import keeps_its_promise, measure, side_by_side
from flowmodel.evaluation.features import load_extractor
from flowmodel.evaluation.real_icons import RealIcons
from flowmodel.model.generator import Generator

ICONS = 7


@pytest.fixture(scope="module")
def real(tiny_finished):
    return RealIcons.load(tiny_finished.dataset, load_extractor(), tiny_finished.store.root / "features")


def test_real_and_drawn_icons_are_measured_as_pixels_and_as_shapes(tiny_finished, real):
    generator = Generator.load(tiny_finished.checkpoint, "cpu")
    table, shown = measure(generator, real, ICONS, load_extractor())
    rows = {row["images"]: row for row in table}
    assert list(rows) == ["real", "drawn", "unfinished"] and all(row["icons"] == ICONS for row in table)
    assert rows["real"]["top-1"] == 1 and rows["real"]["top-1 traced"] > 0.5  # of icons of 16 pixels
    assert rows["real"]["KID"] < rows["real"]["KID traced"] < rows["drawn"]["KID"]
    assert all(row["paths"] >= 1 for row in table)
    assert [name for _, _, name, *_ in shown] == ["real", "drawn"]
    assert side_by_side(real, shown).width > 300


@pytest.mark.parametrize(("found", "paths", "kept"), [(0.95, 20, True), (0.94, 20, False), (1.0, 21, False)])
def test_the_promise_is_about_real_icons_found_and_drawn_ones_paths(found, paths, kept):
    table = [{"set": "mine", "images": "real", "top-1 traced": found, "paths": 10}]
    table.append({"set": "mine", "images": "drawn", "top-1 traced": 0.1, "paths": paths})
    assert keeps_its_promise(table, "mine") == kept
