"""The loop: resuming, refusing, reporting."""

import random
import shutil
import signal
import subprocess
import time

import pytest
from PIL import Image

from flowmodel.errors import FlowmodelError
from flowmodel.files import read_json, sha256_file
from flowmodel.model.checkpoint import FINAL, read_header, step_checkpoints, step_path
from flowmodel.training.loop import train
from flowmodel.training.observers import TrainingObserver, TrainingResult, TrainingStart
from tests.conftest import TINY
from tests.training.helpers import ONE_THREAD, changed, worker


class Recorder(TrainingObserver):
    def __init__(self, stop_at: int | None = None) -> None:
        self.stop_at = stop_at
        self.start: TrainingStart | None = None
        self.logged: dict[int, dict[str, float]] = {}
        self.validated: dict[int, dict[str, float]] = {}
        self.grids: dict[int, Image.Image] = {}
        self.checkpoints: list[int] = []
        self.result: TrainingResult | None = None
        self.failure: BaseException | None = None

    def on_start(self, start):
        self.start = start

    def on_log(self, step, values):
        self.logged[step] = values
        if self.stop_at is not None and step >= self.stop_at:
            raise KeyboardInterrupt

    def on_validation(self, step, values):
        self.validated[step] = values

    def on_grid(self, step, grid):
        self.grids[step] = grid

    def on_checkpoint(self, step, path):
        self.checkpoints.append(step)

    def on_end(self, result):
        self.result = result

    def on_failure(self, error):
        self.failure = error


def test_observers_hear_everything(tiny_recipe, prepared, tmp_path):
    recorder = Recorder()
    train(tiny_recipe, prepared.dataset, tmp_path, [recorder])
    assert recorder.start is not None and not recorder.start.resumed
    assert list(recorder.logged) == [5, 10, 15, 20, 25, 30]
    assert recorder.logged[30]["loss"] < recorder.logged[5]["loss"]
    assert recorder.logged[30]["eta_seconds"] == 0
    assert list(recorder.grids) == [0, 15, 30] and recorder.checkpoints == [10, 20]
    assert list(recorder.validated) == [10, 20, 30]
    assert str(recorder.start.cost).endswith("GFLOP per image") and str(recorder.start.policy) == "cpu (float32, channels last)"
    assert recorder.result is not None and recorder.result.steps == 30 and recorder.result.resumed_from is None
    assert [path.name for path in tmp_path.iterdir()] == [FINAL]


def test_snapshots_are_taken_for_a_third_width_and_stay_where_somebody_asks_for_them(tiny_recipe, prepared, tmp_path):
    class WhatLiesThere(TrainingObserver):
        def on_checkpoint(self, step, path):
            self.snapshots = sorted(path.name for path in path.parent.glob("ema/*"))

    def files(folder: str, **training: object) -> tuple[list[str], list[str]]:
        during, recipe = WhatLiesThere(), changed(tiny_recipe, training=training)
        train(recipe, prepared.dataset, tmp_path / folder, [during])
        after = sorted(path.relative_to(tmp_path / folder).as_posix() for path in (tmp_path / folder).rglob("*.safetensors"))
        return during.snapshots, after

    assert files("tracked width") == ([], [FINAL])
    taken, left = files("third width", ema=0.07)
    assert len(taken) == 2 and left == [FINAL]
    taken, left = files("kept", keep_snapshots=True)
    assert len(taken) == 2 and left == [f"ema/step-{step:08d}.safetensors" for step in (10, 20, 30)] + [FINAL]


def test_what_an_ended_training_has_left_behind_goes_the_next_time(tiny_training, prepared, tmp_path):
    folder = shutil.copytree(tiny_training.folder, tmp_path / "training")
    for leftover in (step_path(folder, 20), folder / "ema" / "step-00000020.safetensors"):
        leftover.parent.mkdir(exist_ok=True)
        leftover.write_bytes(b"as after `kill -9` between the last weights and the end")
    assert train(tiny_training.recipe, prepared.dataset, folder).already_finished
    assert [path.name for path in folder.rglob("*.safetensors")] == [FINAL] and not (folder / "ema").exists()


def test_losses_by_time_average_to_the_loss(tiny_recipe, prepared, tmp_path):
    recorder = Recorder()
    train(changed(tiny_recipe, training={"steps": 5}), prepared.dataset, tmp_path, [recorder])
    by_time = {float(name.removeprefix("loss_t")): value for name, value in recorder.logged[5].items() if "_t" in name}
    assert set(by_time) <= {number / 8 for number in range(8)}
    assert min(by_time.values()) < recorder.logged[5]["loss"] < max(by_time.values())
    validated = recorder.validated[5]
    times = [value for name, value in validated.items() if name.startswith("loss_t")]
    assert len(times) == tiny_recipe.training.validation.times
    assert sum(times) / len(times) == pytest.approx(validated["loss"], rel=1e-4)
    assert validated["train_loss"] > 0


def test_the_lowest_loss_is_reported_and_the_last_weights_are_the_final_ones(tiny_recipe, prepared, tmp_path):
    # Far too high a learning rate: after the first measurement the loss rises.
    recipe = changed(tiny_recipe, training={"learning_rate": 0.3, "optimizer": "adamw", "warmup_steps": 0})
    recorder = Recorder()
    result = train(recipe, prepared.dataset, tmp_path, [recorder])
    losses = {step: values["loss"] for step, values in recorder.validated.items()}
    best = min(losses, key=losses.__getitem__)
    header = read_header(tmp_path / FINAL)
    assert header.step == result.steps == 30 and header.ema == recipe.training.ema
    assert (header.best.step, header.best.loss) == (best, losses[best])
    assert recorder.validated[30]["best_loss"] == losses[best] and header.best.ema == recorder.validated[best]["ema"]


def test_training_ends_early_when_validation_stops_improving(tiny_recipe, prepared, tmp_path):
    still = changed(tiny_recipe, training={"learning_rate": 1e-30, "validation": {"every": 5, "icons": 8, "patience": 2}})
    recorder = Recorder()
    result = train(still, prepared.dataset, tmp_path, [recorder])
    assert result.stopped_early and result.steps == 15 and list(recorder.validated) == [5, 10, 15]


def test_nothing_held_out_is_stated_where_validation_is_to_end_the_training(tiny_recipe, prepared, tmp_path):
    (tmp_path / "one.txt").write_text("1f600\n1f602\n2764\n")
    data = {"selection": str(tmp_path / "one.txt")}
    assert train(changed(tiny_recipe, data=data, training={"steps": 1}), prepared.dataset, tmp_path / "last").steps == 1
    patient = {"validation": {"every": 10, "patience": 1}}
    with pytest.raises(FlowmodelError, match="no icon of the recipe is held out for validation"):
        train(changed(tiny_recipe, data=data, training=patient), prepared.dataset, tmp_path / "patient")


def test_slices_of_a_batch_give_the_same_training(tiny_recipe, prepared, tmp_path):
    plain, sliced = Recorder(), Recorder()
    steps = {"steps": 10, "log_every": 1}
    train(changed(tiny_recipe, training=steps), prepared.dataset, tmp_path / "plain", [plain])
    train(changed(tiny_recipe, training=steps | {"grad_accum_steps": 4}), prepared.dataset, tmp_path / "sliced", [sliced])
    for step in plain.logged:
        assert sliced.logged[step]["loss"] == pytest.approx(plain.logged[step]["loss"], rel=2e-3)


def test_an_interrupted_training_ends_with_the_same_weights(tiny_recipe, prepared, tiny_training, tmp_path):
    interrupted = Recorder(stop_at=25)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_recipe, prepared.dataset, tmp_path, [interrupted])
    assert isinstance(interrupted.failure, KeyboardInterrupt)
    continued = Recorder()
    result = train(tiny_recipe, prepared.dataset, tmp_path, [continued])
    assert result.resumed_from == 20 and list(continued.logged) == [25, 30]
    assert sha256_file(tmp_path / FINAL) == tiny_training.checkpoint.digest


def test_a_finished_training_is_not_repeated(tiny_recipe, prepared, tiny_training):
    recorder = Recorder()
    before = tiny_training.checkpoint.path.stat().st_mtime_ns
    result = train(tiny_recipe, prepared.dataset, tiny_training.folder, [recorder])
    assert result.already_finished and recorder.start is None and recorder.result == result
    assert tiny_training.checkpoint.path.stat().st_mtime_ns == before


def test_another_recipe_or_an_unfinished_one_is_refused(tiny_recipe, prepared, tiny_training, tmp_path):
    other = changed(tiny_recipe, training={"learning_rate": 1e-4})
    with pytest.raises(FlowmodelError, match="belongs to another recipe or data set"):
        train(other, prepared.dataset, tiny_training.folder)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_recipe, prepared.dataset, tmp_path, [Recorder(stop_at=15)])
    with pytest.raises(FlowmodelError, match="belongs to another recipe or data set"):
        train(other, prepared.dataset, tmp_path)
    # The reporting interval does not change the training's name.
    assert train(changed(tiny_recipe, training={"log_every": 7}), prepared.dataset, tmp_path).resumed_from == 10


def test_a_diverging_training_stops_with_one_clear_line(tiny_recipe, prepared, tmp_path):
    wild = changed(tiny_recipe, training={"learning_rate": 1e30, "warmup_steps": 0})
    with pytest.raises(FlowmodelError, match=r"loss is not finite at step (\d+).*lower training.learning_rate") as caught:
        train(wild, prepared.dataset, tmp_path)
    [report] = tmp_path.iterdir()  # and no checkpoint of broken weights
    saved = read_json(report)
    assert report.name in str(caught.value) and saved["step"] > 1
    assert len(saved["icons"]) == 8 and all(icon.startswith("noto/") for icon in saved["icons"])


def test_nothing_to_train_on_is_stated(tiny_recipe, prepared, tmp_path):
    selection = tmp_path / "mine.txt"
    selection.write_text("abcdef0\n")
    recipe = changed(tiny_recipe, data={"selection": str(selection)})
    with pytest.raises(FlowmodelError, match=r"data.selection .*mine.txt.* names none of the"):
        train(recipe, prepared.dataset, tmp_path / "training")


def test_checkpoint_says_what_it_is(tiny_training):
    header = tiny_training.checkpoint.header
    assert header.step == 30 and header.recipe["name"] == "tiny" and header.dataset_digest == tiny_training.dataset.digest
    assert len(header.trained_ids) > 150
    assert tiny_training.checkpoint.tensors("ema.").keys() and not tiny_training.checkpoint.tensors("model.")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x10" + bytes(40)])
def test_a_broken_checkpoint_is_named(tmp_path, content):
    path = tmp_path / "broken.safetensors"
    path.write_bytes(content)
    with pytest.raises(FlowmodelError, match=r"broken\.safetensors: not a flowmodel checkpoint"):
        read_header(path)


@pytest.mark.slow
def test_kill_9_at_any_moment_and_the_same_command_ends_with_the_same_weights(prepared, tmp_path):
    """Killed three times, each time at a random moment after a random step."""
    overrides = [*TINY, "training.steps=80", "training.checkpoint_every=1", "training.keep_checkpoints=2"]
    subprocess.run(worker(prepared.dataset.folder, tmp_path / "whole", *overrides), check=True, env=ONE_THREAD)
    reached = []
    for _ in range(3):
        process = subprocess.Popen(worker(prepared.dataset.folder, tmp_path / "killed", *overrides), env=ONE_THREAD)
        aim = (reached[-1] if reached else 0) + random.randint(1, 16)
        while process.poll() is None and not any(step >= aim for step, _ in step_checkpoints(tmp_path / "killed")):
            time.sleep(0.001)
        time.sleep(random.uniform(0, 0.1))  # somewhere in a step, or in the middle of a write
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the training ended before it could be killed"
        reached.append(step_checkpoints(tmp_path / "killed")[-1][0])
    assert 0 < reached[0] < reached[1] < reached[2] < 80, reached
    subprocess.run(worker(prepared.dataset.folder, tmp_path / "killed", *overrides), check=True, env=ONE_THREAD)
    assert sha256_file(tmp_path / "killed" / FINAL) == sha256_file(tmp_path / "whole" / FINAL)
