"""Averages computed after the training, compared with averages that were tracked."""

import pytest
import torch
from torch import nn

from flowmodel.errors import FlowmodelError
from flowmodel.training.ema import PowerEma
from flowmodel.training.post_hoc_ema import EmaSnapshots, coefficients

STEPS, SNAPSHOTS = 600, 12
TRACKED = (0.05, 0.1)


class _Walk:
    """A random walk of a thousand weights with a drift, as a training's are: two averages snapshot on the way, others kept."""

    def __init__(self, folder, widths, until=STEPS):
        layer = nn.utils.skip_init(nn.Linear, 1000, 1, bias=False)
        nn.init.zeros_(layer.weight)
        generator = torch.Generator().manual_seed(0)
        tracked = [PowerEma(layer, width) for width in TRACKED]
        kept = {width: PowerEma(layer, width) for width in widths}
        self.snapshots = EmaSnapshots(folder)
        for step in range(1, until + 1):
            with torch.no_grad():
                layer.weight += 0.05 * torch.randn(layer.weight.shape, generator=generator) + 0.002
            for average in (*tracked, *kept.values()):
                average.update(step)
            if step % (STEPS // SNAPSHOTS) == 0:
                self.snapshots.save(step, tracked)
        self.true = {width: average.state()["weight"] for width, average in kept.items()}
        self.spread = float(layer.weight.detach().std())

    def error(self, step, width):
        """Root mean square over that of the weights."""
        found = self.snapshots.reconstruct(step, width)["weight"]
        return float((found - self.true[width]).square().mean().sqrt()) / self.spread


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    return _Walk(tmp_path_factory.mktemp("walk"), (0.03, 0.05, 0.07, 0.09, 0.1, 0.13, 0.2))


@pytest.mark.parametrize("width", TRACKED)
def test_a_width_that_was_tracked_comes_back_up_to_the_rounding_of_half_precision(walk, width):
    assert walk.error(STEPS, width) < 5e-4


@pytest.mark.parametrize(("width", "tolerance"), [(0.07, 0.01), (0.09, 0.01), (0.13, 0.01), (0.2, 0.02), (0.03, 0.06)])
def test_any_other_width_is_close_to_the_average_that_was_kept_all_along(walk, width, tolerance):
    """Averages narrower than both tracked ones are the worst, because no snapshot is as recent."""
    assert walk.error(STEPS, width) < tolerance
    nearest = min(TRACKED, key=lambda tracked: abs(tracked - width))
    unchanged = float((walk.true[nearest] - walk.true[width]).square().mean().sqrt()) / walk.spread
    assert walk.error(STEPS, width) < unchanged / 2


def test_at_an_earlier_step_only_snapshots_until_then_count(walk, tmp_path):
    earlier = _Walk(tmp_path, (0.07,), until=400)
    before = earlier.error(400, 0.07)
    later = walk.snapshots.reconstruct(400, 0.07)["weight"]  # of a folder that has later snapshots up to step 600
    assert before < 0.01 and torch.equal(later, earlier.snapshots.reconstruct(400, 0.07)["weight"])


@pytest.mark.parametrize("count", [1, 3, SNAPSHOTS])
@pytest.mark.parametrize("width", [0.02, 0.03, 0.07, 0.1, 0.2, 0.25])
def test_coefficients_sum_to_one_however_far_the_width_is_from_what_was_tracked(width, count):
    snapshots = [(number * STEPS // count, tracked) for number in range(1, count + 1) for tracked in TRACKED]
    assert coefficients(snapshots, STEPS, width).sum() == pytest.approx(1, abs=1e-9)


def test_a_width_that_was_tracked_is_its_last_snapshot_alone():
    snapshots = [(step, width) for step in range(50, STEPS + 1, 50) for width in TRACKED]
    alone = coefficients(snapshots, STEPS, 0.1)
    assert alone[-1] == pytest.approx(1, abs=1e-6) and abs(alone[:-1]).max() < 1e-6


def test_weights_that_never_move_come_back_unchanged_at_every_width(tmp_path):
    layer = nn.Linear(4, 4)
    snapshots, averages = EmaSnapshots(tmp_path), [PowerEma(layer, width) for width in TRACKED]
    for step in (10, 20, 30):
        snapshots.save(step, averages)
    for width in (0.02, 0.25):
        assert torch.allclose(snapshots.reconstruct(30, width)["weight"], layer.weight, atol=1e-3)


def test_snapshots_are_half_precision_and_survive_being_saved_again(tmp_path):
    layer = nn.Linear(4, 4)
    snapshots = EmaSnapshots(tmp_path / "ema")
    for _ in range(2):
        snapshots.save(10, [PowerEma(layer, width) for width in TRACKED])
    [path] = (tmp_path / "ema").iterdir()
    assert path.stat().st_size < 2 * 20 * 2 + 700  # two averages of 20 numbers of two bytes, and the header
    found = snapshots.reconstruct(10, 0.05)
    assert torch.allclose(found["weight"], layer.weight, rtol=1e-3)


def test_missing_snapshots_give_one_clear_line(walk, tmp_path):
    for folder, step in ((tmp_path / "nowhere", 100), (walk.snapshots._folder, 10)):
        with pytest.raises(FlowmodelError, match=rf"{folder}: no snapshots of averaged weights until step {step}"):
            EmaSnapshots(folder).reconstruct(step, 0.07)


def test_snapshots_of_later_steps_can_be_removed(tmp_path):
    layer = nn.Linear(2, 2)
    snapshots = EmaSnapshots(tmp_path)
    for step in (10, 20, 30):
        snapshots.save(step, [PowerEma(layer, width) for width in TRACKED])
    (tmp_path / "notes.txt").write_text("mine")
    snapshots.remove_after(10)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "step-00000010.safetensors"]
