"""Sampling with a real but undertrained checkpoint."""

from dataclasses import replace

import pytest
import torch

from flowmodel.errors import FlowmodelError
from flowmodel.images.tensors import to_unit
from flowmodel.model.device import DevicePolicy
from flowmodel.model.generator import Generator
from flowmodel.model.pretrained import pretrained_weights
from tests.finishers import enlarging


@pytest.fixture(scope="module")
def generator(tiny_training) -> Generator:
    return Generator.load(tiny_training.checkpoint, device="cpu")


def test_it_knows_where_it_comes_from(generator, tiny_training):
    assert generator.recipe == tiny_training.recipe
    assert generator.dataset_digest == tiny_training.dataset.digest
    assert generator.step == 30 and len(generator.trained_ids) > 150


def test_the_same_seed_draws_the_same_images(generator):
    first = generator.sample(["red heart", "pizza"], seed=3)
    assert first.shape == (2, 4, 16, 16) and first.dtype == torch.uint8
    assert torch.equal(first, generator.sample(["red heart", "pizza"], seed=3))
    assert not torch.equal(first, generator.sample(["red heart", "pizza"], seed=4))


def test_batches_do_not_matter(generator):
    prompts = ["red heart", "pizza", "a very long caption about a small green frog", "frog", "moon"]
    whole, batched = generator.sample(prompts, seed=1), generator.sample(prompts, seed=1, batch_size=2)
    difference = (whole.int() - batched.int()).abs()
    assert difference.max() <= 1  # other batches add in another order


def test_no_prompts_give_no_images(generator):
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


def test_a_finisher_changes_the_images_and_can_be_left_out(generator, tiny_finished):
    finishing = Generator.load(tiny_finished.checkpoint, device="cpu")
    drawn = generator.sample(["red heart", "pizza"], seed=3)
    finished = finishing.sample(["red heart", "pizza"], seed=3)
    assert finished.shape == drawn.shape and not torch.equal(finished, drawn)
    assert torch.equal(finishing.sample(["red heart", "pizza"], seed=3, finish=False), drawn)
    assert torch.equal(finishing.finish(drawn), finished)
    assert torch.equal(generator.finish(drawn), drawn)


def test_a_trajectory_ends_with_the_finished_images(tiny_finished):
    finishing = Generator.load(tiny_finished.checkpoint, device="cpu")
    trajectory = finishing.trajectory(["red heart"], seed=3)
    assert torch.equal(trajectory.states_SBCHW[-1], finishing.sample(["red heart"], seed=3))
    whole, unfinished = trajectory.states_SBCHW, finishing.trajectory(["red heart"], seed=3, finish=False).states_SBCHW
    assert torch.equal(whole[:-1], unfinished[:-1]) and not torch.equal(whole[-1], unfinished[-1])


def test_a_finisher_of_scale_2_draws_twice_as_large(tiny_finished, tmp_path):
    larger = Generator.load(enlarging(tiny_finished.checkpoint, tmp_path / "x2.safetensors"), device="cpu")
    drawn, finished = larger.sample(["pizza"], finish=False), larger.sample(["pizza"])
    assert larger.size == 32 and torch.equal(finished, drawn.repeat_interleave(2, -1).repeat_interleave(2, -2))
    assert larger.sample([]).shape == (0, 4, 32, 32)
    assert larger.trajectory(["pizza"]).states_SBCHW.shape[-2:] == (32, 32)


def test_a_drawing_that_begins_late_stays_near_its_image_whatever_the_caption(generator):
    shipped = Generator.load(pretrained_weights(), device="cpu")
    given = shipped.sample(["red heart, noto style"], seed=3)
    text, config = shipped.encode(["green apple, noto style"]), shipped.sampling()
    errors = [(shipped.redraw(to_unit(given), text, config, t).int() - given.int()).abs().float().mean() for t in (0, 0.4, 0.8)]
    assert errors[0] > 2 * errors[1] > 2 * errors[2]
    assert torch.equal(shipped.redraw(to_unit(given), text, config, 0.0), shipped.draw(text, config, finish=False))


def test_another_encoder_is_refused(tiny_training):
    other = Generator.load(tiny_training.checkpoint, device="cpu")
    other.header = replace(other.header, encoder_digest="0" * 64)
    with pytest.raises(FlowmodelError, match="caption encoder 'minilm': its weights have digest 53aa51172d14…"):
        other.sample(["pizza"])
