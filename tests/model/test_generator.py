"""Prompt to pictures with a real, if badly trained, checkpoint."""

from dataclasses import replace

import pytest
import torch

from flowmodel.errors import FlowmodelError
from flowmodel.model.device import DevicePolicy
from flowmodel.model.generator import Generator


@pytest.fixture(scope="module")
def generator(tiny_training) -> Generator:
    return Generator.load(tiny_training.checkpoint, device="cpu")


def test_it_knows_where_it_comes_from(generator, tiny_training):
    assert generator.recipe == tiny_training.recipe
    assert generator.dataset_digest == tiny_training.dataset.digest
    assert generator.step == 30 and len(generator.trained_ids) > 150


def test_the_same_seed_draws_the_same_pictures(generator):
    first = generator.sample(["red heart", "pizza"], seed=3)
    assert first.shape == (2, 4, 16, 16) and first.dtype == torch.uint8
    assert torch.equal(first, generator.sample(["red heart", "pizza"], seed=3))
    assert not torch.equal(first, generator.sample(["red heart", "pizza"], seed=4))


def test_batches_do_not_matter(generator):
    prompts = ["red heart", "pizza", "a very long caption about a small green frog", "frog", "moon"]
    whole, batched = generator.sample(prompts, seed=1), generator.sample(prompts, seed=1, batch_size=2)
    difference = (whole.int() - batched.int()).abs()
    assert difference.max() <= 1  # other batches add in another order


def test_no_prompts_no_pictures(generator):
    assert generator.sample([]).shape == (0, 4, 16, 16)


def test_network_evaluations_are_counted(generator):
    assert generator.nfe(steps=8, guidance=2.0, solver="midpoint") == 32
    assert generator.nfe(steps=8, guidance=1.0, solver="midpoint") == 16
    assert generator.nfe(steps=8, guidance=1.0, solver="heun") == 15


def test_bad_options_and_files_are_named(generator, tmp_path):
    with pytest.raises(FlowmodelError, match=r"sampling.steps: .* got 0"):
        generator.sample(["pizza"], steps=0)
    with pytest.raises(FlowmodelError, match=r"nothing\.safetensors: no such checkpoint"):
        Generator.load(tmp_path / "nothing.safetensors")
    with pytest.raises(FlowmodelError, match="device 'tpu': not available here"):
        DevicePolicy.choose("tpu")


def test_another_encoder_is_refused(tiny_training):
    other = Generator.load(tiny_training.checkpoint, device="cpu")
    other.header = replace(other.header, encoder_digest="0" * 64)
    with pytest.raises(FlowmodelError, match="caption encoder 'minilm': its weights have digest 53aa51172d14…"):
        other.sample(["pizza"])
