"""Connecting to MLflow, and the messages if that fails."""

import os
import socket
import sqlite3
import time
from contextlib import closing

import mlflow
import pytest

from flowmodel.errors import FlowmodelError
from flowmodel.registry.runs_view import EXPERIMENT
from flowmodel.registry.tracking import Tracking
from flowmodel.store import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def client(store):
    tracking = Tracking.of(store)
    _ = tracking.experiment_id
    return tracking.client


def test_a_new_store_gets_database_and_experiment_inside_itself(store, client):
    database = Tracking.of(store).database
    assert database.is_relative_to(store.root) and database.exists()
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment.artifact_location == store.mlflow_artifacts.as_uri()
    assert Tracking.of(store).experiment_id == experiment.experiment_id


def test_stores_do_not_get_mixed_up(store, client, tmp_path):
    assert "MLFLOW_TRACKING_URI" not in os.environ
    other = Store(tmp_path)
    before = mlflow.get_tracking_uri()
    assert Tracking.of(other).client.search_experiments(filter_string=f"name = '{EXPERIMENT}'") == []
    assert [e.name for e in client.search_experiments(filter_string=f"name = '{EXPERIMENT}'")] == [EXPERIMENT]
    with Tracking.of(other).as_current():
        assert mlflow.get_tracking_uri() == other.mlflow_uri
    assert mlflow.get_tracking_uri() == before and "MLFLOW_TRACKING_URI" not in os.environ


def test_telemetry_is_off(client):
    from mlflow.telemetry.utils import is_telemetry_disabled

    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true" and is_telemetry_disabled()


def test_a_deleted_experiment_comes_back(store, client):
    client.delete_experiment(Tracking.of(store).experiment_id)
    again = Tracking.of(store)
    assert again.experiment_id and again.client.get_experiment_by_name(EXPERIMENT).lifecycle_stage == "active"


def _fails_soon(store: Store) -> str:
    """On a quiet machine it takes a few seconds. MLflow's own attempts would take minutes."""
    import mlflow  # noqa: F401  # takes seconds on a busy machine

    started = time.monotonic()
    with pytest.raises(FlowmodelError) as caught:
        _ = Tracking.of(store).experiment_id
    assert time.monotonic() - started < 40
    message = str(caught.value)
    assert "\n" not in message and message.startswith("MLflow store ")
    return message


def test_a_locked_store_gives_one_clear_line_within_seconds(store, client):
    with closing(sqlite3.connect(Tracking.of(store).database)) as somebody:
        somebody.execute("BEGIN EXCLUSIVE")
        message = _fails_soon(store)
    assert "locked by another process" in message and "mlflow.db" in message
    assert Tracking.of(store).experiment_id


def test_a_file_that_is_not_a_database_is_named(tmp_path):
    database = Tracking.of(Store(tmp_path)).database
    database.parent.mkdir(parents=True)
    database.write_bytes(b"these are not the bytes you are looking for" * 100)
    assert "not a SQLite database" in _fails_soon(Store(tmp_path))


def test_a_place_that_cannot_be_opened_is_named(tmp_path):
    Tracking.of(Store(tmp_path)).database.mkdir(parents=True)
    assert "can't be opened" in _fails_soon(Store(tmp_path))


def test_an_unreachable_server_is_named_within_seconds_without_its_password(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:sec%40ret@127.0.0.1:9")
    for name in ("USERNAME", "PASSWORD"):
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", "")  # so that it is as before afterwards
    message = _fails_soon(Store(tmp_path))
    assert "http://127.0.0.1:9: the server can't be reached" in message and "sec" not in message
    assert Tracking.of(Store(tmp_path)).ui_address == "http://127.0.0.1:9"
    # MLflow is told by the environment, which is repeated nowhere.
    assert (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]) == ("me", "sec@ret")


def test_a_database_s_password_is_shown_nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nosuchkind://me:s@cret@127.0.0.1:9/runs?password=too")
    message = _fails_soon(Store(tmp_path))
    assert "nosuchkind://127.0.0.1:9/runs" in message and "cret" not in message and "too" not in message


def test_a_server_that_accepts_and_never_answers_is_named_within_seconds(tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert "the server can't be reached" in _fails_soon(Store(tmp_path))


def test_an_unknown_kind_of_store_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "ftp://somewhere")
    assert "ftp" in _fails_soon(Store(tmp_path))


def test_ui_address(tmp_path, monkeypatch):
    assert Tracking.of(Store(tmp_path)).ui_address == "http://127.0.0.1:5252"
    monkeypatch.setenv("MLFLOW_PORT", "5123")
    assert Tracking.of(Store(tmp_path)).ui_address == "http://127.0.0.1:5123"
    Store(tmp_path).mlflow_port_file.parent.mkdir()
    Store(tmp_path).mlflow_port_file.write_text("5321\n")  # as `make ui` records MLflow's actual port
    assert Tracking.of(Store(tmp_path)).ui_address == "http://127.0.0.1:5321"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example/")
    assert Tracking.of(Store(tmp_path)).ui_address == "https://mlflow.example"
