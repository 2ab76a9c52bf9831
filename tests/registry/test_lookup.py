"""Sampling finds its model without MLflow and imports only what it needs, because imports take most of its time."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from benchmarks.cold_start import crown
from flowmodel.errors import FlowmodelError
from flowmodel.model.pretrained import FOLDER, WEIGHTS_FILE, pretrained_weights
from flowmodel.registry.lookup import has_model, registered_checkpoint
from flowmodel.registry.names import CHAMPION, MODEL_NAME
from flowmodel.registry.references import NothingRegistered, resolve_model
from flowmodel.registry.tracking import Tracking
from flowmodel.store import Store

HEAVY = {
    *(
        "accelerate",
        "dagster",
        "matplotlib",
        "mlflow",
        "open_clip",
        "pandas",
        "pyarrow",
        "scipy",
        "sklearn",
        "sqlalchemy",
        "sympy",
    ),
    *("sympy", "torch._dynamo", "torch._inductor", "torchvision", "transformers"),
}
_DRAW = """
import sys
sys.argv = ["flowmodel", "sample", "pizza", "--out", sys.argv[1]]
from flowmodel.cli import app
app(standalone_mode=False)
print("imported:", *sys.modules)
"""


@pytest.fixture
def crowned(tmp_path) -> Store:
    store = Store(tmp_path / "crowned")
    crown(store)
    return store


def _imported(store: Store) -> set[str]:
    command = [sys.executable, "-c", _DRAW, str(store.root / "drawn.png")]
    environment = os.environ | {"FLOWMODEL_STORE": str(store.root)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (store.root / "drawn" / "pizza-0.png").is_file()
    return set(done.stdout.partition("imported: ")[2].split())


def test_drawing_imports_neither_mlflow_nor_what_only_training_needs(crowned, tmp_path):
    for store in (Store(tmp_path / "empty"), crowned):
        imported = _imported(store)
        assert "torch" in imported and not imported.intersection(HEAVY)


def test_the_champion_is_found_by_alias_and_by_number(crowned):
    expected = pretrained_weights().digest
    for alias, number in ((CHAMPION, None), (None, "1")):
        found = registered_checkpoint(crowned, MODEL_NAME, alias, number)
        assert found is not None and found.digest == expected and found.path.is_relative_to(crowned.root)
    assert registered_checkpoint(crowned, MODEL_NAME, "challenger", None) is None
    assert registered_checkpoint(crowned, MODEL_NAME, None, "2") is None


def test_a_moved_store_is_read_at_its_new_path(crowned, tmp_path):
    moved = Store(crowned.root.rename(tmp_path / "moved"))
    assert registered_checkpoint(moved, MODEL_NAME, CHAMPION, None).path.is_relative_to(moved.root)


def test_missing_databases_and_models_are_certain_and_foreign_databases_are_not(crowned, empty_database, tmp_path):
    store = Store(tmp_path / "other")
    assert has_model(store, MODEL_NAME) is False
    database = Tracking.of(store).database
    database.parent.mkdir(parents=True)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE registered_things (name)")
    assert has_model(store, MODEL_NAME) is None
    shutil.copy(empty_database, database)
    assert has_model(store, MODEL_NAME) is False and has_model(crowned, MODEL_NAME) is True
    with pytest.raises(NothingRegistered, match="no model 'x' is registered"):
        resolve_model(store, "models:/x/1")
    assert resolve_model(store, None).path == FOLDER / WEIGHTS_FILE


def test_mlflow_reports_missing_artifacts(crowned):
    registered_checkpoint(crowned, MODEL_NAME, CHAMPION, None).path.unlink()
    assert registered_checkpoint(crowned, MODEL_NAME, CHAMPION, None) is None
    with pytest.raises(FlowmodelError, match="missing in MLflow's artifacts"):
        resolve_model(crowned, None)


def test_an_mlflow_server_is_asked(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert has_model(Store(tmp_path), MODEL_NAME) is None
    assert registered_checkpoint(Store(tmp_path), MODEL_NAME, CHAMPION, None) is None
