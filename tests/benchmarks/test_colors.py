"""Color scores of synthetic images and of real icons with known results."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from torch import Tensor

from benchmarks.colors import EVERYDAY, HELD_OUT, Things, mean_hues_are_right, measure, most_pixels_are_right
from flowmodel.data.color_captions import is_held_out, without_color_words
from flowmodel.evaluation.features import load_extractor
from flowmodel.model.generator import Generator
from flowmodel.store import Store
from tests.data.helpers import with_icons

RED, BLUE, GRAY, BLACK = (220, 40, 30), (40, 90, 220), (120, 120, 120), (0, 0, 0)


def image(inside: tuple[int, int, int], outline: tuple[int, int, int] | None = None) -> Tensor:
    """(1, 4, 12, 12): a square with an outline of one pixel on transparent ground."""
    rgba_14HW = torch.zeros(1, 4, 12, 12, dtype=torch.uint8)
    rgba_14HW[0, :, 2:10, 2:10] = torch.tensor([*(outline or inside), 255], dtype=torch.uint8)[:, None, None]
    rgba_14HW[0, :3, 3:9, 3:9] = torch.tensor(inside, dtype=torch.uint8)[:, None, None]
    return rgba_14HW


def test_the_pairs_are_held_out_of_forty_different_things():
    assert len(HELD_OUT) == len({thing for _, thing in HELD_OUT}) == 40 and len(set(EVERYDAY)) == 60
    assert all(is_held_out(thing, color) and without_color_words(thing) == thing for color, thing in HELD_OUT)


@pytest.mark.parametrize(
    ("inside", "outline", "color", "expected"),
    [
        (RED, None, "red", True),
        (RED, None, "blue", False),
        (RED, BLUE, "red", True),
        (BLUE, RED, "red", False),
        (BLUE, BLACK, "blue", True),
        (GRAY, RED, "red", False),
    ],
)
def test_the_mean_hue_is_that_of_the_inside(inside, outline, color, expected):
    assert mean_hues_are_right(image(inside, outline), [color]).tolist() == [expected]


def test_hues_on_both_sides_of_the_color_have_it_as_their_mean():
    purplish_and_orange = image((230, 60, 0))
    purplish_and_orange[0, :3, 3:9, 3:6] = torch.tensor((220, 20, 90), dtype=torch.uint8)[:, None, None]
    assert mean_hues_are_right(purplish_and_orange, ["red"]).all()


def test_an_empty_image_has_no_color():
    empty_14HW = torch.zeros(1, 4, 12, 12, dtype=torch.uint8)
    assert not mean_hues_are_right(empty_14HW, ["red"]).any() and not most_pixels_are_right(empty_14HW, ["red"]).any()


def test_most_pixels_are_more_than_half_of_those_that_have_a_color():
    mixed_14HW = image(GRAY)
    mixed_14HW[0, :3, 3] = torch.tensor(BLUE, dtype=torch.uint8)[:, None] * (mixed_14HW[0, 3:, 3] > 0)
    assert most_pixels_are_right(mixed_14HW, ["blue"]).all(), "gray pixels have no say"
    mixed_14HW[0, :3, 4:6] = torch.tensor(RED, dtype=torch.uint8)[:, None, None] * (mixed_14HW[0, 3:, 4:6] > 0)
    assert not most_pixels_are_right(mixed_14HW, ["blue"]).any() and most_pixels_are_right(mixed_14HW, ["red"]).all()


@pytest.fixture(scope="module")
def tables(tiny_training, tmp_path_factory):
    """Scores of the tiny training, among the icons of the prompted things."""
    things = {thing for _, thing in HELD_OUT}

    def only_things(icons: pa.Table) -> pa.Table:
        return icons.filter(pc.is_in(icons["name"], pa.array([*things, "red apple", "green apple"])))

    store = Store(tmp_path_factory.mktemp("store"))
    dataset = with_icons(tiny_training.dataset, only_things, store)
    found = Things.load(dataset, load_extractor(), store.root / "features")
    return measure(Generator.load(tiny_training.checkpoint, "cpu"), found, "noto", "noto", seeds=1)


def test_real_icons_are_found_in_any_color_and_have_the_color_after_recoloring(tables):
    rows = {row["held-out pairs"]: row for row in tables[0]}
    real, turned, drawn = rows["real icons as they are"], rows["real icons, turned"], rows["drawn"]
    assert real["thing, top 1"] == 1 and real["color"] < 0.1, "no real icon has the color that is asked for"
    assert turned["thing, top 5"] > 0.9 and turned["color"] > 0.9
    assert drawn["images"] == 40 and drawn["thing, top 1"] < 0.5, "thirty steps learn nothing"
    assert drawn["color and thing, top 5"] <= min(drawn["color"], drawn["thing, top 5"])


def test_both_lists_are_scored_by_color(tables):
    held_out, everyday = (table[0] for table in tables[1:])
    assert list(held_out)[1:] == ["all", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown"]
    assert list(everyday)[1:] == ["all", "red", "orange", "yellow", "green", "blue", "purple"]
    assert all(0 <= value <= 1 for value in [*list(held_out.values())[1:], *list(everyday.values())[1:]])
