"""The contents of a training's MLflow run."""

import getpass
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from flowmodel.data.terms import Terms
from flowmodel.files import read_json
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.registry.observer import MlflowObserver, run_of_checkpoint
from flowmodel.registry.origin import ENTRY_POINT
from flowmodel.registry.runs import LICENSES, MANIFEST, RUN_FILE, TrainingRun
from flowmodel.registry.tracking import Tracking
from flowmodel.store import PROJECT_ROOT, Store
from flowmodel.training.loop import train
from flowmodel.training.observers import TrainingObserver
from tests.data.helpers import with_icons


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("training")


@pytest.fixture(scope="module")
def run(store, folder, tiny_recipe, prepared):
    """The run of a training that was observed from beginning to end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")
        observer = MlflowObserver(Tracking.of(store), prepared.dataset, {"dagster_run_id": "r-1", ENTRY_POINT: "a test"})
        train(tiny_recipe, prepared.dataset, folder, [observer])
    return observer.run.client.get_run(observer.run.run_id)


def _history(store: Store, run_id: str, metric: str = "training/loss") -> list[int]:
    return [point.step for point in Tracking.of(store).client.get_metric_history(run_id, metric)]


def test_every_hyper_parameter_is_there(run, tiny_recipe, prepared):
    params = run.data.params
    assert params["training.learning_rate"] == str(tiny_recipe.training.learning_rate)
    assert params["network.channels"] == "[16, 32]" and params["data.split.seed"] == "0"
    assert params["evaluation.gate.on_worse"] == "register" and params["sampling.solver"] == tiny_recipe.sampling.solver
    assert (
        int(params["parameters"]) > 1000
        and params["device"] == "cpu (float32, channels last)"
        and int(params["trained_icons"]) > 150
    )


def test_curves_and_grids_by_step(run, store):
    assert run.info.status == "FINISHED" and run.info.run_name == "tiny"
    for curve in ("loss", "learning_rate", "images_per_second", "gradient_norm"):
        assert _history(store, run.info.run_id, f"training/{curve}") == [5, 10, 15, 20, 25, 30]
    for split in ("train", "validation"):
        assert _history(store, run.info.run_id, f"prediction_error/{split}/t0.95") == [10, 20, 30]
    images = [file.path for file in Tracking.of(store).client.list_artifacts(run.info.run_id, "images")]
    assert sorted(step for path in images for step in (0, 15, 30) if f"grid+step+{step}+" in path and path.endswith(".png")) == [
        0,
        15,
        30,
    ]


def test_tags_have_the_origin(run):
    tags = run.data.tags
    assert tags["dagster_run_id"] == "r-1" and tags["entry_point"] == "a test"
    assert tags["mlflow.user"] == run.info.user_id == getpass.getuser()
    assert tags["mlflow.source.name"] == sys.argv[0] and tags["mlflow.source.type"] == "LOCAL"
    if (PROJECT_ROOT / ".git").exists():
        assert len(tags["git_commit"]) == 40 and tags["git_commit"] == tags["mlflow.source.git.commit"]
        changed = subprocess.run(["git", "-C", PROJECT_ROOT, "diff", "--quiet", "HEAD"], check=False).returncode
        assert tags["git_dirty"] == ("true" if changed else "false")


def test_system_metrics_are_recorded_during_training(run, store):
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"} <= run.data.metrics.keys()
    assert not any(thread.name == "SystemMetricsMonitor" for thread in threading.enumerate())


def test_the_data_set_is_an_input_with_its_digest(run, prepared):
    digests = {given.dataset.name: given.dataset.digest for given in run.inputs.dataset_inputs}
    assert digests == {"icon_dataset": prepared.dataset.digest[:36]}
    tags = {tag.key: tag.value for tag in run.inputs.dataset_inputs[0].tags}
    assert tags["mlflow.data.context"] == "training" and len(tags["sha256"]) == 64


def test_the_license_of_every_icon_travels_with_the_run(run, store, prepared):
    client = Tracking.of(store).client
    manifest = pd.read_csv(client.download_artifacts(run.info.run_id, MANIFEST), keep_default_na=False)
    assert len(manifest) == int(run.data.params["trained_icons"]) and manifest["id"].is_unique
    assert set(manifest["split"]) == {"train"} and set(manifest["license"]) == {"Apache-2.0"}
    (terms,) = pd.read_csv(client.download_artifacts(run.info.run_id, LICENSES)).to_dict("records")
    assert (terms["source"], terms["license"], terms["redistributable"]) == ("noto", "Apache-2.0", True)
    assert (terms["origin"], terms["icons"]) == ("emoji-datasource-google 16.0.0", len(manifest))
    assert (run.data.tags["licenses"], run.data.tags["redistributable"]) == ("Apache-2.0", "true")


def test_one_icon_that_is_not_redistributable_marks_the_whole_run(store, prepared, tmp_path):
    trained = prepared.dataset.ids_of_split("train")[:5]

    def one_of_apple(icons):
        frame = icons.to_pandas()
        frame.loc[frame["id"] == trained[0], ["license", "redistributable"]] = ["proprietary (Apple)", False]
        return pa.Table.from_pandas(frame, schema=icons.schema, preserve_index=False)

    dataset = with_icons(prepared.dataset, one_of_apple, Store(tmp_path / "store"))
    training = TrainingRun.open(Tracking.of(store), tmp_path, "with-apple")
    training.log_dataset(dataset, tuple(trained))
    tags = training.client.get_run(training.run_id).data.tags
    assert (tags["licenses"], tags["redistributable"]) == ("Apache-2.0, proprietary (Apple)", "false")


def test_training_data_of_the_initial_weights_mark_the_run_too(store, prepared, tmp_path):
    training = TrainingRun.open(Tracking.of(store), tmp_path, "fine-tuned")
    training.log_dataset(prepared.dataset, ("noto/2764",), (Terms("acme", "proprietary", False, "Acme 1.0"),))
    tags = training.client.get_run(training.run_id).data.tags
    assert (tags["licenses"], tags["redistributable"]) == ("Apache-2.0, proprietary", "false")
    table = pd.read_csv(training.client.download_artifacts(training.run_id, LICENSES))
    assert table[["source", "icons"]].to_numpy().tolist() == [["noto", 1], ["acme", 0]]


def test_a_finished_training_keeps_its_run(run, store, folder, tiny_recipe, prepared):
    observer = MlflowObserver(Tracking.of(store), prepared.dataset, {"dagster_run_id": "r-2"})
    assert train(tiny_recipe, prepared.dataset, folder, [observer]).already_finished
    assert observer.run.run_id == run.info.run_id and f"/runs/{run.info.run_id}?" in observer.run.url
    again = observer.run.client.get_run(run.info.run_id)
    assert again.data.params == run.data.params and len(again.inputs.dataset_inputs) == 1
    assert again.data.tags["dagster_run_id"] == "r-1"  # where it came from
    assert len(_history(store, run.info.run_id)) == 6


class _Stop(TrainingObserver):
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def on_log(self, step, values):
        if step == 15:
            raise self.error


@pytest.mark.parametrize(
    ("error", "status", "reached"), [(KeyboardInterrupt(), "KILLED", 10), (RuntimeError("out of memory"), "FAILED", 15)]
)
def test_a_stopped_training_says_so_and_continues_in_its_run(store, tiny_recipe, prepared, tmp_path, error, status, reached):
    first = MlflowObserver(Tracking.of(store), prepared.dataset)
    with pytest.raises(type(error)):
        train(tiny_recipe, prepared.dataset, tmp_path, [first, _Stop(error)])
    assert first.run.client.get_run(first.run.run_id).info.status == status
    second = MlflowObserver(Tracking.of(store), prepared.dataset)
    assert train(tiny_recipe, prepared.dataset, tmp_path, [second]).resumed_from == reached
    assert second.run.run_id == first.run.run_id
    assert second.run.client.get_run(first.run.run_id).info.status == "FINISHED"
    assert _history(store, first.run.run_id) == [5, 10, 15, 20, 25, 30]  # step 15 was done twice and is logged once
    assert _history(store, first.run.run_id, "prediction_error/train/t0.1") == [10, 20, 30]


def test_a_training_that_mlflow_does_not_know_gets_a_run(store, tiny_training, prepared, tmp_path):
    checkpoint = Checkpoint.open(Path(shutil.copy(tiny_training.checkpoint.path, tmp_path)))
    first = run_of_checkpoint(Tracking.of(store), checkpoint, prepared.dataset)
    assert first.client.get_run(first.run_id).data.params["training.steps"] == "30"
    assert run_of_checkpoint(Tracking.of(store), checkpoint, prepared.dataset).run_id == first.run_id
    first.client.delete_run(first.run_id)
    third = run_of_checkpoint(Tracking.of(store), checkpoint, prepared.dataset)
    assert third.run_id != first.run_id and read_json(tmp_path / RUN_FILE)["run_id"] == third.run_id


_WORKER = """
import os, signal, sys
from pathlib import Path
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.recipes import load_recipe
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.registry.observer import MlflowObserver
from flowmodel.registry.tracking import Tracking
from flowmodel.store import Store
from flowmodel.data.dataset import IconDataset
from flowmodel.training.loop import train
from flowmodel.training.observers import TrainingObserver

class Killed(TrainingObserver):
    def on_log(self, step, values):
        if step == 25:
            os.kill(os.getpid(), signal.SIGKILL)

data, store, folder, *overrides = sys.argv[1:]
recipe = load_recipe("from_scratch", overrides)
dataset = IconDataset.open(Path(data))
train(recipe, dataset, Path(folder), [MlflowObserver(Tracking.of(Store(Path(store))), dataset), Killed()])
"""


def test_a_finisher_has_its_curve_and_its_digest_in_the_run_once(store, tiny_finished, prepared, tmp_path):
    checkpoint = Checkpoint.open(Path(shutil.copy(tiny_finished.checkpoint.path, tmp_path)))
    finisher = checkpoint.header.finisher
    for _ in range(2):
        run = run_of_checkpoint(Tracking.of(store), checkpoint, prepared.dataset)
    assert _history(store, run.run_id, "finisher/loss") == [step for step, _ in finisher.curve]
    logged = run.client.get_run(run.run_id).data
    assert logged.tags["finisher_digest"] == finisher.digest and logged.params["finisher.channels"] == "8"


@pytest.mark.slow
def test_after_kill_9_the_same_run_continues(store, tiny_recipe, prepared, tmp_path):
    from tests.conftest import TINY

    arguments = [str(prepared.dataset.folder), str(store.root), str(tmp_path), *TINY]
    killed = subprocess.run([sys.executable, "-c", _WORKER, *arguments], env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False)
    assert killed.returncode == -signal.SIGKILL
    run_id = read_json(tmp_path / RUN_FILE)["run_id"]
    assert Tracking.of(store).client.get_run(run_id).info.status == "RUNNING"
    runs = len(Tracking.of(store).client.search_runs([Tracking.of(store).experiment_id]))

    observer = MlflowObserver(Tracking.of(store), prepared.dataset)
    assert train(tiny_recipe, prepared.dataset, tmp_path, [observer]).resumed_from == 20
    assert observer.run.run_id == run_id and Tracking.of(store).client.get_run(run_id).info.status == "FINISHED"
    assert len(Tracking.of(store).client.search_runs([Tracking.of(store).experiment_id])) == runs
    assert _history(store, run_id) == [5, 10, 15, 20, 25, 30]
    images = [file.path for file in Tracking.of(store).client.list_artifacts(run_id, "images") if file.path.endswith(".png")]
    assert len(images) == 3  # steps 0, 15 and 30
