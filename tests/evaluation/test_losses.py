"""The gap between the loss of trained and of held-out icons."""

import dataclasses
import shutil

import pyarrow.compute as pc
import pytest

from flowmodel.data.dataset import FILES
from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.losses import losses
from flowmodel.files import Artifact, read_parquet, write_parquet
from flowmodel.model.generator import Generator


@pytest.fixture(scope="module")
def generator(tiny_training):
    return Generator.load(tiny_training.checkpoint)


def _without_validation(dataset, folder):
    """A copy of the data set with splits without held-out icons."""
    path = shutil.copytree(dataset.folder, folder) / FILES["splits"]
    splits = read_parquet(path)
    path.unlink()  # a link to the store's
    write_parquet(path, splits.filter(pc.not_equal(splits["split"], "validation")))
    return dataclasses.replace(dataset, folder=folder)


def test_losses_are_measured_and_the_gap_is_their_difference(tiny_training, generator):
    lost = losses(generator, tiny_training.dataset)
    measured = lost.of_split
    assert lost == losses(generator, tiny_training.dataset) and lost.why_not == ""
    assert measured["train"]["loss"] > 0 and measured.keys() == lost.prediction_error.keys() == {"train", "validation"}
    assert measured["validation"]["loss_gap"] == measured["validation"]["loss"] - measured["train"]["loss"]


def test_another_encoder_or_size_has_no_loss_to_be_compared(tiny_training, generator):
    dataset = tiny_training.dataset
    lost = losses(generator, dataclasses.replace(dataset, encoder="other", encoder_digest="0" * 64))
    assert lost.of_split == lost.prediction_error == {} and "'other'" in lost.why_not and "'minilm'" in lost.why_not
    larger = dataclasses.replace(dataset, data=dataset.data.model_copy(update={"size": 64}))
    lost = losses(generator, larger)
    assert lost.of_split == lost.prediction_error == {} and "16 pixels" in lost.why_not and "64" in lost.why_not


def test_a_data_set_without_held_out_icons_has_no_loss_and_says_so(tiny_training, generator, tmp_path):
    changed = _without_validation(tiny_training.dataset, tmp_path / "d")
    digest = Artifact.of(changed.folder / FILES["splits"]).digest
    lost = losses(generator, dataclasses.replace(changed, contents=changed.contents | {"splits": digest}))
    assert lost.of_split == {} and lost.why_not.startswith("no icon is held out for validation")
    assert lost.prediction_error.keys() == {"train"}  # that needs none


def test_a_distilled_model_has_no_loss_because_it_learned_something_else(tiny_training):
    lost = losses(Generator.from_pretrained("pretrained-fast", "cpu"), tiny_training.dataset)
    assert lost.of_split == lost.prediction_error == {} and lost.why_not.startswith("a distilled model learns the jumps")


def test_a_damaged_data_set_is_an_error_and_not_a_missing_loss(tiny_training, generator, tmp_path):
    with pytest.raises(FlowmodelError, match="changed since the data set was prepared"):
        losses(generator, _without_validation(tiny_training.dataset, tmp_path / "d"))
