"""Copies in other colors, from a recipe's field to batches; resumed like everything else."""

import math
from pathlib import Path

import pytest
import torch

from flowmodel.data.color_captions import is_held_out
from flowmodel.data.dataset import IconDataset
from flowmodel.data.prepare import Preparation
from flowmodel.data.sources.config import BundledSource
from flowmodel.data.sources.context import SourceContext
from flowmodel.errors import FlowmodelError, Resumable
from flowmodel.evaluation.english_captions import Captions
from flowmodel.images.recolor import PROTOTYPES, angle, color_statistics
from flowmodel.images.rgba import encode_png
from flowmodel.model.device import DevicePolicy
from flowmodel.recipes import Recipe, parse_recipe
from flowmodel.recipes.split import Split
from flowmodel.store import Store
from flowmodel.training.batches import Batches
from flowmodel.training.icon_set import load_training_set
from flowmodel.training.loop import train, training_digest
from flowmodel.training.observers import TrainingObserver
from flowmodel.training.recolored_set import load_recolored_set
from tests.data.helpers import BLUE, RED, icon_row, plain, write_icons

THINGS = ("apple", "balloon", "bell", "car", "drum", "egg", "fish", "house", "key", "lamp")
CPU = DevicePolicy.choose("cpu")


def _recipe(tiny_recipe: Recipe, recolored: float = 0.25) -> Recipe:
    values = tiny_recipe.model_dump(mode="json")
    values["data"] |= {"recolored": recolored, "selection": None, "split": {"unseen_concept": 0.2, "validation": 0.2}}
    values["training"] |= {"steps": 12, "checkpoint_every": 4}
    return parse_recipe(values, "test")


def _prepare(recipe: Recipe, root: Path) -> IconDataset:
    rows = [
        icon_row(name, name=name, png=encode_png(plain(color, height, 40)))
        for height, name in enumerate(THINGS, start=20)
        for color in [RED if name == "apple" else BLUE]
    ]
    rows.append(icon_row("stone", png=encode_png(plain((90, 90, 90, 255)))))
    write_icons(root / "set.parquet", rows)
    store = Store(root / "store")
    source = BundledSource(name="test", kind="bundled", path="set.parquet")
    steps = Preparation(store, recipe.data, [source], SourceContext(root, store.downloads))
    normalized = steps.normalized_icons({"test": steps.icons(source).artifact})
    captions = steps.captions(normalized)
    splits = steps.splits(normalized, steps.duplicates(normalized))
    return steps.dataset(normalized, captions, steps.caption_embeddings(captions).artifact, splits)


@pytest.fixture(scope="module")
def recipe(tiny_recipe: Recipe) -> Recipe:
    return _recipe(tiny_recipe)


@pytest.fixture(scope="module")
def dataset(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> IconDataset:
    return _prepare(recipe, tmp_path_factory.mktemp("recolored"))


def test_each_suited_training_icon_is_there_in_every_color_but_those_held_out(recipe: Recipe, dataset: IconDataset) -> None:
    trained = [icon_id.removeprefix("test/") for icon_id in dataset.ids_of_split(Split.TRAIN, recipe.data)]
    assert 0 < len(trained) < len(THINGS), "some are held out"
    copies = load_recolored_set(dataset, recipe.data, CPU)
    expected = {f"test/{name} in {c}" for name in trained if name != "stone" for c in PROTOTYPES if not is_held_out(name, c)}
    assert set(copies.ids) == expected and len(copies) == len(expected)
    assert copies.rgba_N4HW.dtype == torch.uint8
    asked_N = torch.tensor([PROTOTYPES[copy_id.rpartition(" ")[2]].hue for copy_id in copies.ids]).deg2rad()
    assert (angle(color_statistics(copies.rgba_N4HW).hue_N - asked_N).abs() < math.radians(30)).all()


def test_each_copy_s_captions_are_its_own_two(recipe: Recipe, dataset: IconDataset) -> None:
    copies = load_recolored_set(dataset, recipe.data, CPU)
    assert copies.captions_N.tolist() == [2] * len(copies)
    texts = dataset.color_captions.table["text"].tolist()
    pooled_TD = torch.from_numpy(dataset.color_captions.pooled_TD)
    for number, copy_id in enumerate(copies.ids):
        name, _, color = copy_id.removeprefix("test/").partition(" in ")
        rows = [texts.index(text) for text in (f"{color} {name}", f"{color} {name}, test style")]
        first = int(copies.first_caption_N[number])
        assert torch.equal(copies.text[torch.tensor([first, first + 1])].pooled_BD, pooled_TD[rows])


def test_an_icon_that_has_the_color_is_taken_as_it_is(recipe: Recipe, dataset: IconDataset) -> None:
    copies = load_recolored_set(dataset, recipe.data, CPU)
    own = [copy_id for copy_id in copies.ids if copy_id.endswith("blue") and "apple" not in copy_id]
    assert own
    for copy_id in own:
        icon = dataset.rgba_N4HW[dataset.row_of[copy_id.partition(" ")[0]]]
        assert torch.equal(copies.rgba_N4HW[copies.ids.index(copy_id)], icon)


def test_a_quarter_of_every_batch_are_copies_and_every_icon_and_copy_is_seen_equally_often(
    recipe: Recipe, dataset: IconDataset
) -> None:
    icons = load_training_set(dataset, recipe.data, CPU)
    batches = Batches(recipe, dataset, CPU, icons)
    ids = [batches.ids(step) for step in range(len(icons) * len(load_recolored_set(dataset, recipe.data, CPU)))]
    assert all(len(of_step) == 8 and sum(" in " in one for one in of_step) == 2 for of_step in ids)
    counts = {one: sum(of_step.count(one) for of_step in ids) for one in {one for of_step in ids for one in of_step}}
    assert len({count for one, count in counts.items() if " in " in one}) == 1
    assert len({count for one, count in counts.items() if " in " not in one}) == 1
    x_BCHW, text = batches(3, torch.Generator().manual_seed(0))
    again_BCHW, _ = batches(3, torch.Generator().manual_seed(0))
    assert x_BCHW.shape == (8, 4, 16, 16) and len(text) == 8 and torch.equal(x_BCHW, again_BCHW)


def test_neither_training_icons_nor_reports_know_the_captions_of_copies(recipe: Recipe, dataset: IconDataset) -> None:
    of_copies = set(dataset.color_captions.table["text"])
    assert of_copies and not of_copies & set(dataset.captions.table["text"])
    assert not of_copies & set(Captions.load(dataset).table["text"])
    icons = load_training_set(dataset, recipe.data, CPU)
    assert len(icons.text) == len(icons) * len({*recipe.data.captions} - {"own"})


class _StopsAfter(TrainingObserver):
    def __init__(self, step: int) -> None:
        self._step = step

    def on_checkpoint(self, step: int, path: Path) -> None:
        if step >= self._step:
            raise KeyboardInterrupt


def test_a_training_with_copies_that_was_interrupted_ends_with_the_same_bits(
    recipe: Recipe, dataset: IconDataset, tmp_path: Path
) -> None:
    whole = train(recipe, dataset, tmp_path / "whole").checkpoint
    with pytest.raises((KeyboardInterrupt, Resumable)):
        train(recipe, dataset, tmp_path / "stopped", [_StopsAfter(4)])
    resumed = train(recipe, dataset, tmp_path / "stopped")
    assert resumed.resumed_from == 4 and resumed.checkpoint.digest == whole.digest
    assert all(" in " not in icon_id for icon_id in whole.header.trained_ids)


def test_the_share_names_a_training(recipe: Recipe, dataset: IconDataset, tiny_recipe: Recipe) -> None:
    assert training_digest(recipe, dataset) != training_digest(_recipe(tiny_recipe, 0.5), dataset)


def test_a_data_set_without_copies_is_refused_in_one_line(recipe: Recipe, tiny_recipe: Recipe, tmp_path: Path) -> None:
    without = _prepare(_recipe(tiny_recipe, 0.0), tmp_path)
    with pytest.raises(FlowmodelError, match=r"data.recolored is 0.25, but no training icon has captions with color words"):
        train(recipe, without, tmp_path / "run")
