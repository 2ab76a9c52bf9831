"""Adding a finisher to a finished training."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from flowmodel.content import tensors_digest
from flowmodel.data.prepare import prepare_targets
from flowmodel.errors import FlowmodelError, Resumable
from flowmodel.files import sha256_file
from flowmodel.model.checkpoint import FINISHED, Checkpoint
from flowmodel.model.generator import Generator
from flowmodel.training.finishing import FOLDER, finish
from tests.conftest import FINISHER
from tests.training.test_finisher import interrupt_at


@pytest.fixture
def generator(tiny_training, tmp_path) -> Checkpoint:
    """The tiny training's checkpoint, in a folder that a test may write to."""
    return Checkpoint.open(Path(shutil.copy(tiny_training.checkpoint.path, tmp_path)))


def test_without_a_section_the_checkpoint_is_handed_on_untouched(tiny_training, generator, tmp_path):
    done = finish(tiny_training.recipe, generator, tiny_training.dataset)
    assert done.checkpoint is generator and not done.trained_now
    assert [path.name for path in tmp_path.iterdir()] == [generator.path.name]
    assert generator.header.finisher is None and Generator.load(generator, "cpu").finisher is None


def test_the_file_holds_generator_and_finisher_and_nothing_else_is_left(tiny_training, tiny_finished):
    assert {path.name for path in tiny_finished.folder.iterdir()} == {tiny_training.checkpoint.path.name, FINISHED}
    header, weights = tiny_finished.checkpoint.header, tiny_finished.checkpoint.tensors("finisher.")
    assert header.finisher.digest == tensors_digest(weights) and header.finisher.config == FINISHER.model_dump(mode="json")
    assert tiny_finished.checkpoint.recipe.finisher == FINISHER and header.finisher.curve[-1][0] == FINISHER.steps
    assert replace(header, recipe=tiny_training.checkpoint.header.recipe, finisher=None) == tiny_training.checkpoint.header
    own, before = tiny_finished.checkpoint.tensors("ema."), tiny_training.checkpoint.tensors("ema.")
    assert own.keys() == before.keys() and all(torch.equal(own[name], value) for name, value in before.items())
    assert tiny_finished.checkpoint.digest != tiny_training.checkpoint.digest


def test_it_is_trained_once_and_anew_where_the_section_differs(tiny_training, tiny_finished, generator, tmp_path):
    dataset, recipe = tiny_training.dataset, tiny_finished.recipe
    first, again = finish(recipe, generator, dataset), finish(recipe, generator, dataset)
    assert first.trained_now and not again.trained_now
    assert first.checkpoint.digest == again.checkpoint.digest == tiny_finished.checkpoint.digest
    longer = recipe.model_copy(update={"finisher": FINISHER.model_copy(update={"steps": 14})})
    assert finish(longer, generator, dataset).trained_now
    begun = recipe.model_copy(
        update={"finisher": FINISHER.model_copy(update={"init_from": str(tmp_path / "earlier.safetensors")})}
    )
    shutil.copy(tiny_finished.checkpoint.path, tmp_path / "earlier.safetensors")
    later = finish(begun, generator, dataset).checkpoint
    assert later.header.finisher.curve[-1][1] < first.checkpoint.header.finisher.curve[-1][1]


def test_one_of_scale_2_learns_from_the_icons_at_twice_the_size(tiny_training, tiny_finished, generator):
    recipe = tiny_finished.recipe.model_copy(update={"finisher": FINISHER.model_copy(update={"scale": 2})})
    assert prepare_targets(tiny_finished.recipe, tiny_training.store) is None
    targets = prepare_targets(recipe, tiny_training.store)
    assert targets.data.size == 32 and targets.rgba_N4HW.shape[-1] == 32
    checkpoint = finish(recipe, generator, tiny_training.dataset, targets).checkpoint
    larger = Generator.load(checkpoint, "cpu")
    assert larger.size == 32 and larger.sample(["red heart"]).shape == (1, 4, 32, 32)
    assert larger.sample(["red heart"], finish=False).shape == (1, 4, 16, 16)


def test_killed_it_ends_with_the_same_file(tiny_training, tiny_finished, generator, tmp_path):
    with pytest.raises(Resumable):
        finish(tiny_finished.recipe, generator, tiny_training.dataset, log=interrupt_at(5))
    assert (tmp_path / FOLDER).is_dir() and not (tmp_path / FINISHED).exists()
    lines: list[str] = []
    finish(tiny_finished.recipe, generator, tiny_training.dataset, log=lines.append)
    assert [line for line in lines if "drew" in line] == []
    assert sha256_file(tmp_path / FINISHED) == tiny_finished.checkpoint.digest


def test_initial_weights_without_a_finisher_are_named(tiny_training, tiny_finished, generator):
    config = FINISHER.model_copy(update={"init_from": str(tiny_training.checkpoint.path)})
    with pytest.raises(FlowmodelError, match=r"finisher\.init_from: .*final\.safetensors has no finisher"):
        finish(tiny_finished.recipe.model_copy(update={"finisher": config}), generator, tiny_training.dataset)
