"""The gap between the loss of trained and of held-out icons."""

import dataclasses

from flowmodel.evaluation.losses import losses
from flowmodel.model.generator import Generator


def test_losses_are_measured_and_the_gap_is_their_difference(tiny_training):
    generator = Generator.load(tiny_training.checkpoint)
    measured = losses(generator, tiny_training.dataset)
    assert measured == losses(generator, tiny_training.dataset)
    assert measured["train"]["loss"] > 0 and measured.keys() == {"train", "validation"}
    assert measured["validation"]["loss_gap"] == measured["validation"]["loss"] - measured["train"]["loss"]


def test_another_encoder_has_no_loss_to_be_compared(tiny_training):
    changed = dataclasses.replace(tiny_training.dataset, encoder="other", encoder_digest="0" * 64)
    assert losses(Generator.load(tiny_training.checkpoint), changed) == {}
