"""The gap between the loss of trained and of held-out icons."""

import dataclasses

from flowmodel.evaluation.losses import losses
from flowmodel.files import Artifact, read_parquet, write_parquet
from flowmodel.model.generator import Generator


def test_losses_are_measured_and_the_gap_is_their_difference(tiny_training):
    generator = Generator.load(tiny_training.checkpoint)
    measured = losses(generator, tiny_training.inputs)
    assert measured == losses(generator, tiny_training.inputs)
    assert measured["train"]["loss"] > 0 and measured.keys() == {"train", "validation"}
    assert measured["validation"]["loss_gap"] == measured["validation"]["loss"] - measured["train"]["loss"]


def test_another_encoder_has_no_loss_to_be_compared(tiny_training, tmp_path):
    inputs = tiny_training.inputs
    table = read_parquet(inputs.embeddings.path)
    other = write_parquet(tmp_path / "e.parquet", table, {"encoder": "other", "encoder_digest": "0" * 64})
    changed = dataclasses.replace(inputs, embeddings=Artifact.of(other))
    assert losses(Generator.load(tiny_training.checkpoint), changed) == {}
