"""Several processes under `accelerate launch`, as a person starts them."""

import subprocess
import sys
from pathlib import Path

import pytest

from flowmodel.files import read_json
from flowmodel.model.checkpoint import FINAL, read_header, read_tensors
from flowmodel.store import PROJECT_ROOT
from flowmodel.training.loop import train
from tests.conftest import TINY
from tests.training.helpers import ONE_THREAD, Heard

# Trains as one of several processes; arguments: data set, folder, overrides. Writes the observer's events and its output,
# in FOLDER-RANK.json.
_PROCESS = """
import os, sys
from pathlib import Path
from flowmodel.errors import FlowmodelError
from flowmodel.files import write_json
from flowmodel.recipes import load_recipe
from flowmodel.data.dataset import IconDataset
from flowmodel.store import PROJECT_ROOT
from flowmodel.training.loop import train
from tests.training.helpers import Heard

dataset, folder, *overrides = sys.argv[1:]
written = set()

def note(event, args):
    if event in ("os.mkdir", "os.rename", "os.remove") and str(args[0]).startswith(folder):
        written.add(f"{event} {args[0]} {args[1]}")  # of a rename both names
    elif event == "open" and str(args[0]).startswith(folder) and args[2] & (os.O_WRONLY | os.O_RDWR):
        written.add(f"{event} {args[0]}")

sys.addaudithook(note)
recipe = load_recipe("from_scratch", overrides)
heard = Heard()
raised = ""
try:
    train(recipe, IconDataset.open(Path(dataset)), Path(folder), [heard])
except FlowmodelError as error:
    raised = str(error)
report = vars(heard) | {"raised": raised, "written": sorted(written)}
write_json(Path(f"{folder}-{os.environ['RANK']}.json"), report)
"""
# By its name this option is for GPUs, but it is the only one with which accelerate's launcher starts more than one process.
LAUNCH = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
LAUNCH += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]


def _two_processes(prepared, folder, *overrides):
    """Reports of the first and the second of two processes that train in `folder`."""
    script = folder.with_suffix(".py")
    script.write_text(_PROCESS)
    command = [sys.executable, *LAUNCH, str(script), str(prepared.dataset.folder), str(folder), *TINY, *overrides]
    environment = ONE_THREAD | {"PYTHONPATH": str(PROJECT_ROOT)}
    launched = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert launched.returncode == 0, launched.stderr
    return [read_json(Path(f"{folder}-{rank}.json")) for rank in (0, 1)]


@pytest.mark.slow
def test_two_processes_follow_one_and_only_the_first_writes_and_reports(tiny_recipe, prepared, tmp_path):
    folder = tmp_path / "two"
    first, second = _two_processes(prepared, folder)
    alone = Heard()
    one = train(tiny_recipe, prepared.dataset, tmp_path / "one", [alone])
    assert first["losses"] == pytest.approx(alone.losses, rel=1e-3) and len(alone.losses) == 6 + 3
    # Not seen in the losses: the steps of AdamW and Muon don't depend on the gradient's scale.
    assert first["gradient_norms"] == pytest.approx(alone.gradient_norms, rel=1e-2) and len(alone.gradient_norms) == 6
    assert first["grids"] == 3 and first["ends"] == 1 and any(FINAL in line for line in first["written"])
    assert second == vars(Heard()) | {"raised": "", "written": []}
    of_two, of_one = (read_tensors(path, "ema.") for path in (folder / FINAL, one.checkpoint.path))
    assert read_header(folder / FINAL).training_digest == read_header(one.checkpoint.path).training_digest
    for name, weight in of_one.items():
        assert (of_two[name] - weight).abs().max() < 0.02 * (weight.abs().max() + 0.1), name

    first, second = _two_processes(prepared, folder)  # once more: there is nothing left to do
    assert first["ends"] == 1 and first["losses"] == {}
    assert second == vars(Heard()) | {"raised": "", "written": []}


@pytest.mark.slow
def test_a_failure_of_all_processes_is_reported_by_the_first_alone(prepared, tmp_path):
    first, second = _two_processes(prepared, tmp_path / "two", "training.learning_rate=1e30", "training.warmup_steps=0")
    assert "the loss is not finite at step" in first["raised"] and first["failures"] == [first["raised"]]
    assert second["raised"] == first["raised"] and second["failures"] == []


def _command_line(prepared, folder, *overrides):
    settings = [word for override in (*TINY, *overrides) for word in ("--set", override)]
    command = [sys.executable, *LAUNCH, "-m", "flowmodel", "train", "--recipe", "from_scratch", "--out", str(folder), *settings]
    environment = ONE_THREAD | {"FLOWMODEL_STORE": str(prepared.store.root)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_command_line_speaks_once(prepared, tmp_path):
    launched = _command_line(prepared, tmp_path / "run", "training.steps=5")
    assert launched.returncode == 0, launched.stderr
    assert launched.stdout.count("2 processes") == 1 and (tmp_path / "run" / FINAL).exists()


@pytest.mark.slow
def test_a_batch_that_two_processes_cannot_share_is_stated(prepared, tmp_path):
    launched = _command_line(prepared, tmp_path / "run", "training.batch_size=7")
    assert launched.returncode != 0 and not (tmp_path / "run").exists()
    words = "training.batch_size 7: can't be shared by 2 processes x training.grad_accum_steps 1; choose a multiple of 2"
    assert words in " ".join(launched.stderr.split())
