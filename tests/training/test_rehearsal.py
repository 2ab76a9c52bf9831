"""Samples of the initial weights among the icons of a training that starts from them; resumed like everything else."""

from pathlib import Path

import pytest
import torch

from flowmodel.errors import FlowmodelError, Resumable
from flowmodel.model.device import DevicePolicy
from flowmodel.model.generator import Generator
from flowmodel.model.pretrained import pretrained_weights
from flowmodel.recipes import Recipe, parse_recipe
from flowmodel.training.batches import Batches
from flowmodel.training.icon_set import load_training_set
from flowmodel.training.loop import train, training_digest
from flowmodel.training.observers import TrainingObserver
from flowmodel.training.rehearsal import known_names, load_rehearsal_set
from tests.conftest import TinyTraining
from tests.training.helpers import changed

CPU = DevicePolicy.choose("cpu")


@pytest.fixture(scope="module")
def recipe(tiny_training: TinyTraining) -> Recipe:
    rehearsal = {"share": 0.25, "samples": 6, "styles": ["noto", "outline"]}
    init_from = str(tiny_training.checkpoint.path)
    return changed(
        tiny_training.recipe,
        training={"init_from": init_from, "rehearsal": rehearsal, "steps": 8, "checkpoint_every": 4},
    )


def test_the_samples_are_what_the_initial_weights_draw_of_names_that_they_know_in_each_style(
    recipe: Recipe, tiny_training: TinyTraining
) -> None:
    rehearsed = load_rehearsal_set(recipe, CPU)
    prompts = [one.removeprefix("sample of '").removesuffix("'") for one in rehearsed.ids]
    names, styles = zip(*(prompt.rsplit(", ", 1) for prompt in prompts), strict=True)
    assert len(set(names)) == 6 and set(names) <= set(known_names(tiny_training.checkpoint.header))
    assert sorted(styles) == ["noto style"] * 3 + ["outline style"] * 3
    generator = Generator.load(tiny_training.checkpoint, "cpu")
    text = generator.encode(prompts)
    assert torch.equal(rehearsed.text.pooled_TD, text.pooled_BD)
    drawn_N4HW = generator.sample(prompts, seed=1)
    assert rehearsed.rgba_N4HW.shape == drawn_N4HW.shape and rehearsed.rgba_N4HW.dtype == torch.uint8
    again = load_rehearsal_set(recipe, CPU)
    assert again.ids == rehearsed.ids and torch.equal(again.rgba_N4HW, rehearsed.rgba_N4HW)


def test_names_are_unicode_s_of_emoji_and_words_of_other_icons() -> None:
    names = known_names(pretrained_weights().header)
    assert len(names) > 3000 and {"red apple", "waving hand: dark skin tone"} <= set(names)
    assert not any("-20" in name or name.startswith("1f") for name in names)


def test_a_quarter_of_every_batch_are_samples(recipe: Recipe, tiny_training: TinyTraining) -> None:
    icons = load_training_set(tiny_training.dataset, recipe.data, CPU)
    batches = Batches(recipe, tiny_training.dataset, CPU, icons)
    ids = [batches.ids(step) for step in range(6)]
    assert all(len(of_step) == 8 and sum("sample of" in one for one in of_step) == 2 for of_step in ids)
    assert len({one for of_step in ids for one in of_step if "sample of" in one}) == 6
    x_BCHW, text = batches(3, torch.Generator().manual_seed(0))
    assert x_BCHW.shape == (8, 4, 16, 16) and len(text) == 8


class _StopsAfter(TrainingObserver):
    def on_checkpoint(self, step: int, path: Path) -> None:
        raise KeyboardInterrupt


def test_a_training_with_samples_that_was_interrupted_ends_with_the_same_bits(
    recipe: Recipe, tiny_training: TinyTraining, tmp_path: Path
) -> None:
    dataset = tiny_training.dataset
    whole = train(recipe, dataset, tmp_path / "whole").checkpoint
    with pytest.raises((KeyboardInterrupt, Resumable)):
        train(recipe, dataset, tmp_path / "stopped", [_StopsAfter()])
    resumed = train(recipe, dataset, tmp_path / "stopped")
    assert resumed.resumed_from == 4 and resumed.checkpoint.digest == whole.digest
    assert not any("sample" in icon_id for icon_id in whole.header.trained_ids)
    without = changed(recipe, training={"rehearsal": {"share": 0.0}})
    assert training_digest(recipe, dataset) != training_digest(without, dataset)


def test_samples_of_another_size_or_without_initial_weights_are_refused_in_one_line(recipe: Recipe) -> None:
    larger = changed(recipe, data={"size": 32})
    with pytest.raises(FlowmodelError, match=r"training.rehearsal: the initial weights generate images of 16 pixels"):
        load_rehearsal_set(larger, CPU)
    values = recipe.model_dump(mode="json")
    values["training"]["init_from"] = None
    with pytest.raises(FlowmodelError, match=r"rehearsal.share: there are no initial weights to sample"):
        parse_recipe(values, "test")
    with pytest.raises(FlowmodelError, match=r"each batch needs at least one sample and one icon"):
        changed(recipe, training={"rehearsal": {"share": 0.99}})
