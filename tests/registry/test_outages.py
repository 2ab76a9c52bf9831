"""MLflow is unavailable during a training, or the training's process has died: nothing is lost, and no run stays in progress."""

import shutil
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from flowmodel.files import read_json, write_json
from flowmodel.locks import working_in
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.registry import observer as observer_module
from flowmodel.registry.dead_runs import close_dead_runs
from flowmodel.registry.names import RUN_FILE
from flowmodel.registry.observer import MlflowObserver, run_of_checkpoint
from flowmodel.registry.outbox import OUTBOX, Outbox, deliver, waiting
from flowmodel.registry.runs import TrainingRun
from flowmodel.registry.tracking import Tracking
from flowmodel.store import Store
from flowmodel.training.loop import train
from flowmodel.training.observers import TrainingObserver
from tests.mlflow_server import MlflowServer

GOES_ON_SECONDS = 60  # thirty tiny steps take less than one on a quiet machine


class Outage(TrainingObserver):
    """Begins after step 10; `during` is called at the last grid, after everything else was queued."""

    def __init__(self, begin, during) -> None:
        self._begin, self._during = begin, during
        self.seconds = 0.0

    def on_log(self, step, values):
        if step == 10:
            self._begin()
            self._began = time.monotonic()

    def on_grid(self, step, grid):
        if step == 30:
            self.seconds = time.monotonic() - self._began
            self._during()


def _everything_is_there(run: TrainingRun, folder: Path) -> None:
    client, run_id = run.client, run.run_id
    for metric, steps in {
        "training/loss": [5, 10, 15, 20, 25, 30],
        "validation/loss": [10, 20, 30],
        "prediction_error/train/t0.1": [10, 20, 30],
    }.items():
        assert [point.step for point in client.get_metric_history(run_id, metric)] == steps, metric
    assert run.grid_steps() == {0, 15, 30}
    images = [file.path for file in client.list_artifacts(run_id, "images") if file.path.endswith(".png")]
    assert len(images) == 3
    assert client.get_run(run_id).info.status == "FINISHED"
    assert waiting(folder) == 0


@pytest.fixture
def store(tmp_path, empty_database) -> Store:
    database = tmp_path / "store" / "mlflow" / empty_database.name
    database.parent.mkdir(parents=True)
    shutil.copy(empty_database, database)
    return Store(tmp_path / "store")


@pytest.fixture
def server(empty_database, tmp_path, monkeypatch):
    database = Path(shutil.copy(empty_database, tmp_path / "server.db"))
    with closing(sqlite3.connect(database)) as connection:  # its artifacts would be next to the other database
        connection.execute("UPDATE experiments SET name = 'of another store' WHERE name = 'flowmodel'")
        connection.commit()
    with MlflowServer(database, tmp_path / "server") as running:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", running.address)
        yield running


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_training_continues_during_a_server_outage_and_mlflow_has_everything_afterwards(
    server, tiny_recipe, prepared, tmp_path, monkeypatch
):
    said, folder = [], tmp_path / "restarted"
    monkeypatch.setattr(observer_module, "_END_SECONDS", 400.0)
    starting = threading.Thread(target=server.start)
    there = []
    outage = Outage(server.stop, lambda: (there.append(waiting(folder)), starting.start()))
    observer = MlflowObserver(Tracking.of(Store(tmp_path / "store")), prepared.dataset, log=said.append)
    train(tiny_recipe, prepared.dataset, folder, [observer, outage])
    starting.join()
    assert outage.seconds < GOES_ON_SECONDS and there[0] >= 8  # four log lines and two of each measurement, at least
    away, back = said
    assert "the server can't be reached" in away and "the training continues" in away and "available again" in back
    _everything_is_there(observer.run, folder)

    # Unavailable until after the end: the training finishes, and the next step sends the waiting entries.
    said, folder = [], tmp_path / "away"
    monkeypatch.setattr(observer_module, "_END_SECONDS", 1.0)
    outage = Outage(server.stop, lambda: None)
    observer = MlflowObserver(Tracking.of(Store(tmp_path / "store")), prepared.dataset, log=said.append)
    result = train(tiny_recipe, prepared.dataset, folder, [observer, outage])
    assert outage.seconds < GOES_ON_SECONDS and waiting(folder) >= 10 and f"{folder / OUTBOX}" in said[-1]
    server.start()
    run = run_of_checkpoint(Tracking.of(Store(tmp_path / "store")), Checkpoint.open(result.checkpoint.path), prepared.dataset)
    assert run.run_id == observer.run.run_id
    _everything_is_there(run, folder)


def test_a_training_continues_while_a_backup_locks_the_database(store, tiny_recipe, prepared, tmp_path):
    tracking = Tracking.of(store)
    observer = MlflowObserver(tracking, prepared.dataset)
    backup = sqlite3.connect(tracking.database, check_same_thread=False, timeout=60)

    def begin() -> None:
        while True:  # between two writes of the training
            try:
                backup.execute("BEGIN EXCLUSIVE")
                return
            except sqlite3.OperationalError:
                time.sleep(0.05)

    ending = threading.Timer(2.0, backup.rollback)
    outage = Outage(begin, ending.start)
    with closing(backup):
        train(tiny_recipe, prepared.dataset, tmp_path / "training", [observer, outage])
        ending.join()
    assert outage.seconds < GOES_ON_SECONDS
    _everything_is_there(observer.run, tmp_path / "training")


def test_entries_are_written_while_the_box_is_emptied(store, tmp_path):
    folder = tmp_path / "training"
    run = TrainingRun.open(Tracking.of(store), folder, "tiny")
    writing = threading.Event()
    writing.set()

    def empty() -> None:
        while writing.is_set():
            deliver(run, folder)

    emptying = threading.Thread(target=empty)
    emptying.start()
    outbox = Outbox(run, folder, log=print)
    try:
        for step in range(100):
            outbox.metrics({"training/loss": 1.0}, step)
            time.sleep(0.02)  # so that the box is empty most of the time
    finally:
        writing.clear()
        emptying.join()
        outbox.close(60)
    assert waiting(folder) == 0 and len(run.history("training/loss")) == 100


def test_the_run_of_a_dead_training_is_closed_and_that_of_a_living_one_is_not(store, tmp_path):
    tracking, folder = Tracking.of(store), store.trainings / "tiny-0"
    folder.mkdir(parents=True)
    run = TrainingRun.open(tracking, folder, "tiny")
    write_json(folder / OUTBOX / "00000000.json", {"metrics": {"training/loss": 0.5}, "step": 5, "timestamp": 1})
    with working_in(folder):
        assert close_dead_runs(store) == []
    assert close_dead_runs(store) == [read_json(folder / RUN_FILE)["run_id"]]
    assert tracking.client.get_run(run.run_id).info.status == "KILLED" and run.history("training/loss") == [0.5]
    assert close_dead_runs(store) == []


def test_the_run_of_a_process_that_died_before_storing_its_id_is_found_again(store):
    tracking, folder = Tracking.of(store), store.trainings / "tiny-o'clock"
    first = TrainingRun.open(tracking, folder, "tiny")
    (folder / RUN_FILE).unlink()
    assert TrainingRun.open(tracking, folder, "tiny").run_id == first.run_id
    first.set_status("FINISHED")
    (folder / RUN_FILE).unlink()
    assert TrainingRun.open(tracking, folder, "tiny").run_id != first.run_id  # a new training of the same name


def test_without_mlflow_no_run_is_closed_and_nothing_fails(store, tmp_path, monkeypatch):
    (store.trainings / "tiny-0").mkdir(parents=True)
    write_json(store.trainings / "tiny-0" / RUN_FILE, {"run_id": "1"})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert close_dead_runs(store) == []
