"""Lookups write nothing, and distinguish missing models from an unavailable MLflow."""

import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import mlflow
import pytest

from flowmodel.errors import FlowmodelError
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.model.pretrained import pretrained_weights
from flowmodel.registry.models import RecordedModel, record_evaluation, register_version
from flowmodel.registry.names import CHAMPION, MODEL_NAME
from flowmodel.registry.references import checkpoint_of, find_version, resolve_model
from flowmodel.registry.runs import logged_values
from flowmodel.registry.sqlite import correct_addresses
from flowmodel.registry.tracking import NotFound, Tracking
from flowmodel.store import Store
from tests.registry.conftest import Candidate


@pytest.fixture
def crowned(prepared, tiny_evaluation):
    """Records a candidate in the store's MLflow, registers it, and makes it the champion."""

    def run(store: Store, candidate: Candidate) -> RecordedModel:
        tracking = Tracking.of(store)
        recorded = record_evaluation(tracking, candidate.checkpoint, candidate.report, tiny_evaluation.grid, prepared.dataset)
        version, _ = register_version(recorded)
        tracking.client.set_registered_model_alias(MODEL_NAME, CHAMPION, version.version)
        return recorded

    return run


def _tree(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in [folder, *sorted(folder.rglob("*"))]}


def test_reading_writes_nothing_and_waits_for_no_writer(crowned, first, store, monkeypatch, tmp_path):
    crowned(store, first)
    monkeypatch.chdir(tmp_path)
    before = _tree(tmp_path)
    with closing(sqlite3.connect(Tracking.of(store).database)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert resolve_model(store, None).digest == first.checkpoint.digest
        writer.rollback()
    assert _tree(tmp_path) == before


def test_a_moved_store_is_read_and_written_at_its_new_path(crowned, first, second, store, tmp_path):
    recorded = crowned(store, first)
    moved = Store(tmp_path / "another place" / "store")
    moved.root.parent.mkdir()
    store.root.rename(moved.root)
    before = _tree(moved.root)
    found = resolve_model(moved, None)
    assert found.path.is_relative_to(moved.root) and found.digest == first.checkpoint.digest
    report = logged_values(Tracking.of(moved), recorded.run.run_id, "evaluation/metrics.json")
    assert report == first.report.as_json() and _tree(moved.root) == before

    other = second
    crowned(moved, other)
    assert resolve_model(moved, None).digest == other.checkpoint.digest
    assert resolve_model(moved, "models:/flowmodel/1").digest == first.checkpoint.digest
    assert not store.root.exists()
    with closing(sqlite3.connect(Tracking.of(moved).database)) as database:
        assert str(store.root) not in "\n".join(database.iterdump())
    with Tracking.of(moved).as_current():  # MLflow's own functions find everything as well
        assert Path(mlflow.artifacts.download_artifacts("models:/flowmodel/1")).is_relative_to(moved.root)
        assert mlflow.artifacts.load_dict(f"runs:/{recorded.run.run_id}/evaluation/metrics.json") == report


def test_mlflow_s_own_server_finds_the_artifacts_of_a_moved_store(crowned, first, store, tmp_path):
    crowned(store, first)
    moved = Store(store.root.rename(tmp_path / "moved"))
    correct_addresses(moved)  # as `make ui` does before it starts the server
    with Tracking.of(moved).as_current():
        assert Path(mlflow.artifacts.download_artifacts("models:/flowmodel@champion")).is_relative_to(moved.root)


def test_a_copy_of_a_store_does_not_change_the_original(crowned, first, second, store, tmp_path):
    crowned(store, first)
    backup = Store(Path(shutil.copytree(store.root, tmp_path / "backup")))
    other = second
    crowned(backup, other)
    assert resolve_model(backup, None).path.is_relative_to(backup.root)
    assert resolve_model(store, None).digest == first.checkpoint.digest


@pytest.fixture
def place_for_all() -> Iterator[Path]:
    """A folder that every user of this machine can enter."""
    with tempfile.TemporaryDirectory(prefix="flowmodel-test-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


_AS_SOMEBODY_ELSE = """
import os, sys
from pathlib import Path
from flowmodel.registry.references import resolve_model
from flowmodel.store import Store

resolve_model(Store(Path(sys.argv[1])), None)  # imports what it needs while it still may
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
print(resolve_model(Store(Path(sys.argv[2])), None).digest)
"""


def test_the_champion_is_found_in_a_read_only_store(crowned, first, store, place_for_all):
    crowned(store, first)
    shared = Path(shutil.copytree(store.root, place_for_all / "store"))
    everything = [shared, *shared.rglob("*")]
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
    command = [sys.executable, "-c", _AS_SOMEBODY_ELSE, str(store.root), str(shared)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    for path in everything:
        path.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == first.checkpoint.digest


def _champion(store: Store) -> Checkpoint:
    tracking = Tracking.of(store)
    return checkpoint_of(tracking, find_version(tracking, MODEL_NAME, alias=CHAMPION))


def test_artifacts_on_an_unmounted_disk_are_not_missing(crowned, first, store):
    crowned(store, first)
    away = store.mlflow_artifacts.rename(store.root / "away")
    for mounted in (False, True):
        if mounted:  # the empty folder that an unmounted disk leaves
            store.mlflow_artifacts.mkdir()
        with pytest.raises(FlowmodelError, match="is the disk mounted") as caught:
            _champion(store)
        assert not isinstance(caught.value, NotFound)
    store.mlflow_artifacts.rmdir()
    away.rename(store.mlflow_artifacts)
    _champion(store).path.unlink()
    with pytest.raises(NotFound, match="missing in MLflow's artifacts"):
        _champion(store)


def test_only_no_model_and_no_database_mean_that_nothing_is_registered(crowned, first, store):
    assert resolve_model(store, None).path == pretrained_weights().path
    recorded = crowned(store, first)
    recorded.run.client.delete_registered_model_alias(MODEL_NAME, CHAMPION)
    with pytest.raises(FlowmodelError, match=r"@champion': not in MLflow store .* there are models:/flowmodel/1$"):
        resolve_model(store, None)
    with closing(sqlite3.connect(Tracking.of(store).database)) as database:
        database.execute("UPDATE alembic_version SET version_num = 'of another release'")
        database.commit()
    with pytest.raises(FlowmodelError, match="MLflow store sqlite:"):
        resolve_model(Store(store.root), None)
