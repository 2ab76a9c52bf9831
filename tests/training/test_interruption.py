"""Signals and lack of memory: a checkpoint is written, the exit code tells, and the same command resumes."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from flowmodel.errors import FlowmodelError, Resumable
from flowmodel.files import sha256_file
from flowmodel.locks import working_in
from flowmodel.model.checkpoint import FINAL, step_checkpoints
from flowmodel.training import interruption
from flowmodel.training.interruption import Interruption
from flowmodel.training.loop import GRID_ICONS, train
from flowmodel.training.observers import TrainingObserver
from tests.conftest import TINY
from tests.training.helpers import ONE_THREAD, changed, worker

LONG = {"steps": 80, "checkpoint_every": 5}
OVERRIDES = [*TINY, *(f"training.{name}={value}" for name, value in LONG.items())]


@pytest.fixture
def one_thread():
    """In the form of the interrupted processes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def whole(tiny_recipe, prepared, tmp_path_factory):
    """Digest of the weights of an uninterrupted training."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    digest = train(changed(tiny_recipe, training=LONG), prepared.dataset, tmp_path_factory.mktemp("whole")).checkpoint.digest
    torch.set_num_threads(threads)
    return digest


def _commands(prepared, folder):
    settings = ["--recipe", "from_scratch", *(word for override in OVERRIDES for word in ("--set", override))]
    return {
        "flowmodel train": [sys.executable, "-m", "flowmodel", "train", "--out", str(folder), *settings],
        "worker": worker(prepared.dataset.folder, folder, *OVERRIDES),
    }


@pytest.mark.slow
@pytest.mark.parametrize(("command", "number"), [("flowmodel train", signal.SIGTERM), ("worker", signal.SIGINT)])
def test_a_signal_ends_with_75_and_the_same_command_with_the_same_weights(
    tiny_recipe, prepared, whole, one_thread, tmp_path, command, number
):
    environment = ONE_THREAD | {"FLOWMODEL_STORE": str(prepared.store.root)}
    process = subprocess.Popen(_commands(prepared, tmp_path)[command], env=environment, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not step_checkpoints(tmp_path):
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate()
    assert process.returncode == os.EX_TEMPFAIL == 75, said
    assert f"{number.name} after step" in said and "the same command continues" in said
    reached = step_checkpoints(tmp_path)[-1][0]
    assert 5 <= reached < 80 and not (tmp_path / FINAL).exists()
    result = train(changed(tiny_recipe, training=LONG), prepared.dataset, tmp_path)
    assert result.resumed_from == reached and result.checkpoint.digest == whole


_LACK_OF_MEMORY = """
import resource, torch
from pathlib import Path
from torch.nn.modules.module import register_module_forward_pre_hook

calls = 0

def allocate(module, _):
    global calls
    if type(module).__name__ == "UNet" and module.training:
        calls += 1
        if calls == 24:  # the first call counts the network's operations
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            limit = pages * resource.getpagesize() + 2**24
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            torch.empty(2**30, dtype=torch.uint8)

register_module_forward_pre_hook(allocate)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the address space")
def test_a_real_lack_of_memory_leaves_a_checkpoint_of_the_step_before(tiny_recipe, prepared, whole, one_thread, tmp_path):
    command = worker(prepared.dataset.folder, tmp_path, *OVERRIDES, before=_LACK_OF_MEMORY)
    process = subprocess.run(command, env=ONE_THREAD, stderr=subprocess.PIPE, text=True, check=False)
    assert process.returncode == os.EX_TEMPFAIL, process.stderr
    assert "out of memory after step 22 on cpu; continue with a larger training.grad_accum_steps (now 1" in process.stderr
    assert step_checkpoints(tmp_path)[-1][0] == 22
    result = train(changed(tiny_recipe, training=LONG), prepared.dataset, tmp_path)
    assert result.resumed_from == 22 and result.checkpoint.digest == whole


@pytest.mark.parametrize(("when", "checkpoint"), [("validation", None), ("grid", 15)])
def test_a_lack_of_memory_beside_a_step_is_resumable_too(tiny_recipe, prepared, tiny_training, tmp_path, when, checkpoint):
    """The effect of an interrupted validation is unknown, so the checkpoint before it is kept; a grid has no effect."""
    # Rows of the network's input: eight icons by eight times, and the grid's icons with and without captions.
    rows = {"validation": 8 * 8, "grid": 2 * GRID_ICONS}[when]
    trained = []

    def allocate(module, inputs):
        if type(module).__name__ == "UNet" and module.training:
            trained.append(module)
        elif (
            type(module).__name__ == "UNet" and len(trained) > 5 and len(inputs[0]) == rows
        ):  # not the grid before the first step
            torch.empty(2**60, dtype=torch.uint8)

    hook = torch.nn.modules.module.register_module_forward_pre_hook(allocate)
    try:
        with pytest.raises(Resumable, match="out of memory after step"):
            train(tiny_recipe, prepared.dataset, tmp_path, [TrainingObserver()])
    finally:
        hook.remove()
    assert [step for step, _ in step_checkpoints(tmp_path)][-1:] == ([checkpoint] if checkpoint else [])
    assert sha256_file(train(tiny_recipe, prepared.dataset, tmp_path).checkpoint.path) == tiny_training.checkpoint.digest


class _Fails(TrainingObserver):
    def on_log(self, step, values):
        if step == 15:
            raise OSError("the observer's disk is away")


def _failing_step(module, inputs):
    if type(module).__name__ == "UNet" and module.training and _failing_step.calls == 15:
        raise ValueError("a step fails")
    _failing_step.calls += type(module).__name__ == "UNet" and module.training


@pytest.mark.parametrize(("observer", "error", "reached"), [(_Fails(), OSError, 15), (TrainingObserver(), ValueError, 14)])
def test_whatever_ends_a_training_it_leaves_a_checkpoint_of_its_last_step(
    tiny_recipe, prepared, tiny_training, tmp_path, observer, error, reached
):
    _failing_step.calls = 0
    hooks = torch.nn.modules.module
    hook = hooks.register_module_forward_pre_hook(_failing_step) if error is ValueError else None
    try:
        with pytest.raises(error):
            train(tiny_recipe, prepared.dataset, tmp_path, [observer])
    finally:
        if hook:
            hook.remove()
    assert step_checkpoints(tmp_path)[-1][0] == reached
    result = train(tiny_recipe, prepared.dataset, tmp_path)
    assert result.resumed_from == reached and result.checkpoint.digest == tiny_training.checkpoint.digest


def test_two_trainings_in_one_folder_at_once_give_one_line(tiny_recipe, prepared, tiny_training, tmp_path):
    with working_in(tmp_path), pytest.raises(FlowmodelError, match="another process is working there") as caught:
        train(tiny_recipe, prepared.dataset, tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)
    assert train(tiny_recipe, prepared.dataset, tmp_path).checkpoint.digest == tiny_training.checkpoint.digest


class _Signals(TrainingObserver):
    def __init__(self, step: int) -> None:
        self._step = step

    def on_validation(self, step, values):
        if step == self._step:
            signal.raise_signal(signal.SIGTERM)


def test_interrupted_when_validation_ends_it_a_training_ends_there(tiny_recipe, prepared, tmp_path):
    patient = {"learning_rate": 1e-30, "validation": {"every": 5, "icons": 8, "patience": 2}, "ema": 0.07}
    recipe = changed(tiny_recipe, training=patient)
    whole = train(recipe, prepared.dataset, tmp_path / "whole")
    with pytest.raises(Resumable) as caught:
        train(recipe, prepared.dataset, tmp_path / "stopped", [_Signals(15)])
    assert caught.value.signal == signal.SIGTERM
    continued = train(recipe, prepared.dataset, tmp_path / "stopped")
    assert continued.stopped_early and continued.steps == whole.steps == 15
    assert continued.checkpoint.digest == whole.checkpoint.digest


def test_interrupted_in_its_last_step_a_training_only_has_to_be_finished(tiny_recipe, prepared, tiny_training, tmp_path):
    with pytest.raises(Resumable):
        train(tiny_recipe, prepared.dataset, tmp_path, [_Signals(30)])
    result = train(tiny_recipe, prepared.dataset, tmp_path)
    assert result.resumed_from == 30 and result.checkpoint.digest == tiny_training.checkpoint.digest


@pytest.fixture
def handler():
    """Python's own one, which a test process may not have."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_the_first_signal_is_remembered_and_a_late_second_one_interrupts(monkeypatch, handler):
    with Interruption() as remembered:
        assert remembered.signal is None
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)  # at once: the same Ctrl-C by way of a launcher
        assert remembered.signal == signal.SIGINT
        monkeypatch.setattr(interruption, "_SAME_SECONDS", -1.0)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is handler
