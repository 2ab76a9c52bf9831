"""A finisher learns to restore degraded images, and its training can be interrupted."""

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from flowmodel.errors import FlowmodelError, Resumable
from flowmodel.images.tensors import from_unit, to_unit
from flowmodel.model.device import DevicePolicy
from flowmodel.model.generator import Generator
from flowmodel.nets.finisher import Finisher
from flowmodel.recipes.schema import FinisherConfig
from flowmodel.recipes.split import Split
from flowmodel.training.finisher import STATE_FILE, cropped, train_finisher, vary
from flowmodel.training.pairs import BATCH, Pairs, draw_pairs
from tests.conftest import FINISHER

CPU = DevicePolicy.choose("cpu")
SMALL = FinisherConfig(channels=32, blocks=2, steps=300)


def degraded(real_N4HW: torch.Tensor, seed: int) -> torch.Tensor:
    """Blurred, and with noise."""
    noise_N4HW = 0.1 * torch.randn(real_N4HW.shape, generator=torch.Generator().manual_seed(seed))
    return from_unit(F.avg_pool2d(F.pad(to_unit(real_N4HW), (1, 1, 1, 1), mode="replicate"), 3, stride=1) + noise_N4HW)


def degraded_pairs(real_N4HW: torch.Tensor) -> Pairs:
    return Pairs(torch.stack([degraded(real_N4HW, seed) for seed in (0, 1)]), real_N4HW)


@pytest.fixture(scope="module")
def real_N4HW(prepared) -> torch.Tensor:
    return prepared.dataset.rgba_N4HW


def test_it_restores_images_that_it_has_not_seen(real_N4HW, tmp_path):
    shown_N4HW, held_out_N4HW = real_N4HW[:512], real_N4HW[512:640]
    lines: list[str] = []
    trained = train_finisher(SMALL, degraded_pairs(shown_N4HW), CPU, tmp_path, log=lines.append)
    network = Finisher(SMALL).eval()
    network.load_state_dict(trained.weights)
    given_N4HW = degraded(held_out_N4HW, seed=2)
    with torch.no_grad():
        restored_N4HW = from_unit(network(to_unit(given_N4HW)))

    def error(x_N4HW: torch.Tensor) -> float:
        return (x_N4HW.float() - held_out_N4HW.float()).abs().mean().item()

    assert error(restored_N4HW) < 0.7 * error(given_N4HW)
    assert trained.curve[-1][0] == len(lines) * (SMALL.steps // 25) == SMALL.steps
    assert trained.curve[-1][1] < 0.7 * trained.curve[0][1]


def interrupt_at(step: int) -> Callable[[str], None]:
    def log(line: str) -> None:
        if f"step {step} of" in line:
            signal.raise_signal(signal.SIGTERM)

    return log


def test_interrupted_and_continued_it_ends_with_the_same_bits(real_N4HW, tmp_path):
    pairs = degraded_pairs(real_N4HW[:16])
    whole = train_finisher(FINISHER, pairs, CPU, tmp_path / "whole")
    with pytest.raises(Resumable, match="SIGTERM after step 5 of 12 of the finisher") as caught:
        train_finisher(FINISHER, pairs, CPU, tmp_path / "stopped", log=interrupt_at(5))
    assert caught.value.signal == signal.SIGTERM
    lines: list[str] = []
    continued = train_finisher(FINISHER, pairs, CPU, tmp_path / "stopped", log=lines.append)
    assert len(lines) == 12 - 5 and continued.curve == whole.curve
    assert all(torch.equal(continued.weights[name], value) for name, value in whole.weights.items())


def test_a_checkpoint_of_another_finisher_is_not_continued(real_N4HW, tmp_path):
    pairs = degraded_pairs(real_N4HW[:16])
    with pytest.raises(Resumable):
        train_finisher(FINISHER, pairs, CPU, tmp_path, log=interrupt_at(5))
    assert (tmp_path / STATE_FILE).exists()
    for config, seed, own in (
        (FINISHER.model_copy(update={"steps": 13}), 0, pairs),
        (FINISHER, 1, pairs),
        (FINISHER, 0, _first(pairs)),
    ):
        lines: list[str] = []
        train_finisher(config, own, CPU, tmp_path, seed, log=lines.append)
        assert len(lines) == config.steps


def _first(pairs: Pairs) -> Pairs:
    return replace(pairs, drawn_SN4HW=pairs.drawn_SN4HW[:1])


def test_it_begins_with_the_weights_that_it_is_given(real_N4HW, tmp_path):
    pairs = degraded_pairs(real_N4HW[:16])
    earlier = train_finisher(FINISHER, pairs, CPU, tmp_path / "earlier").weights
    still = FINISHER.model_copy(update={"learning_rate": 1e-30, "init_from": "earlier.safetensors"})
    begun = train_finisher(still, pairs, CPU, tmp_path / "later", initial=earlier).weights
    assert all(torch.equal(begun[name], value) for name, value in earlier.items())
    with pytest.raises(FlowmodelError, match=r"finisher.init_from: earlier.safetensors has other channels"):
        train_finisher(still.model_copy(update={"channels": 16}), pairs, CPU, tmp_path / "wider", initial=earlier)


def test_a_finisher_of_scale_2_makes_images_of_twice_the_edge(real_N4HW, tmp_path):
    small_N4HW = from_unit(F.avg_pool2d(to_unit(real_N4HW[:16]), 2))
    config = FINISHER.model_copy(update={"scale": 2, "steps": 100, "learning_rate": 3e-3})
    trained = train_finisher(config, Pairs(small_N4HW[None], real_N4HW[:16]), CPU, tmp_path)
    network = Finisher(config)
    network.load_state_dict(trained.weights)
    assert network(to_unit(small_N4HW)).shape == (16, 4, 16, 16)
    assert trained.curve[-1][1] < trained.curve[0][1]
    with pytest.raises(FlowmodelError, match=r"finisher.scale: 1, but the samples are 8 x 8 and the real images 16 x 16"):
        train_finisher(FINISHER, Pairs(small_N4HW[None], real_N4HW[:16]), CPU, tmp_path)


def test_drawn_and_real_are_cropped_alike():
    drawn_BCHW = torch.arange(16 * 16).view(1, 1, 16, 16)
    real_BCHW = drawn_BCHW.repeat_interleave(2, -1).repeat_interleave(2, -2)
    corners, generator = set(), torch.Generator().manual_seed(0)
    for _ in range(100):
        part_BCHW, target_BCHW = cropped(drawn_BCHW, real_BCHW, 8, generator)
        assert part_BCHW.shape[-2:] == (8, 8) and torch.equal(target_BCHW[:, :, ::2, ::2], part_BCHW)
        assert target_BCHW.shape[-2:] == (16, 16)
        corners.add(part_BCHW[0, 0, 0, 0].item())
    assert corners == {16 * top + left for top in range(0, 9, 2) for left in range(0, 9, 2)}
    assert torch.equal(cropped(drawn_BCHW, real_BCHW, 32, generator)[1], real_BCHW)


def test_drawn_and_real_are_varied_alike():
    x_BCHW = torch.arange(64 * 4 * 3 * 3).reshape(64, 4, 3, 3)
    drawn_BCHW, real_BCHW = vary(x_BCHW, x_BCHW + 10_000, torch.Generator().manual_seed(0))
    assert torch.equal(drawn_BCHW + 10_000, real_BCHW)
    assert torch.equal(drawn_BCHW.flatten(2).sort().values[:, 3], x_BCHW.flatten(2)[:, 3])  # alpha stays where it is
    orders = {
        tuple(pixels.tolist()) for pixels in drawn_BCHW[:, :3].flatten(2).float().mean(dim=2) - 36 * torch.arange(64)[:, None]
    }
    assert len(orders) == 6
    assert len({tuple((alpha - alpha.min()).flatten().tolist()) for alpha in drawn_BCHW[:, 3]}) == 4


@pytest.fixture(scope="module")
def finishing(tiny_recipe):
    return tiny_recipe.model_copy(update={"finisher": FINISHER})


def test_only_training_icons_are_drawn_each_several_times(tiny_training, finishing, tmp_path):
    generator, dataset = Generator.load(tiny_training.checkpoint, "cpu"), tiny_training.dataset
    pairs = draw_pairs(generator, dataset, finishing, tmp_path)
    ids = dataset.ids_of_split(Split.TRAIN, finishing.data)
    assert pairs.drawn_SN4HW.shape == (2, len(ids), 4, 16, 16)
    assert torch.equal(pairs.real_N4HW, dataset.rgba_N4HW[[dataset.row_of[icon_id] for icon_id in ids]])
    assert not torch.equal(*pairs.drawn_SN4HW)


def test_what_begins_later_is_another_drawing(tiny_training, finishing, tmp_path):
    generator, dataset = Generator.load(tiny_training.checkpoint, "cpu"), tiny_training.dataset
    late = finishing.model_copy(update={"finisher": FINISHER.model_copy(update={"start": 0.5, "drawings": 1})})
    begun_late, whole = (draw_pairs(generator, dataset, recipe, tmp_path) for recipe in (late, finishing))
    assert not torch.equal(begun_late.drawn_SN4HW[0], whole.drawn_SN4HW[0])


def test_what_was_drawn_before_an_interruption_is_not_drawn_again(tiny_training, finishing, tmp_path):
    generator, dataset = Generator.load(tiny_training.checkpoint, "cpu"), tiny_training.dataset
    whole = draw_pairs(generator, dataset, finishing, tmp_path / "whole")

    def log(line: str) -> None:
        signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Resumable, match="SIGTERM while sampling for the finisher"):
        draw_pairs(generator, dataset, finishing, tmp_path / "stopped", log=log)
    lines: list[str] = []
    continued = draw_pairs(generator, dataset, finishing, tmp_path / "stopped", log=lines.append)
    assert continued.digest == whole.digest
    assert len(lines) == 2 * -(-len(whole.real_N4HW) // BATCH) - 1
    other = finishing.model_copy(update={"training": finishing.training.model_copy(update={"seed": 5})})
    assert draw_pairs(generator, dataset, other, tmp_path / "stopped").digest != whole.digest


def test_icons_of_another_size_than_the_finisher_makes_are_refused(tiny_training, finishing, tmp_path: Path):
    generator = Generator.load(tiny_training.checkpoint, "cpu")
    larger = finishing.model_copy(update={"finisher": FINISHER.model_copy(update={"scale": 2})})
    with pytest.raises(FlowmodelError, match="icons of 16 pixels; the generator samples 16, and a finisher of scale 2 makes 32"):
        draw_pairs(generator, tiny_training.dataset, larger, tmp_path)
    with pytest.raises(FlowmodelError, match="recipe 'tiny': has no section finisher"):
        draw_pairs(generator, tiny_training.dataset, tiny_training.recipe, tmp_path)
