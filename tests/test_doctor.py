"""`flowmodel doctor`: findings, remedies and the exit code."""

import json
import socket
import sqlite3
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from flowmodel.cli import app
from flowmodel.doctor import examine
from flowmodel.store import Store


def _by_name(store: Store) -> dict:
    return {finding.name: finding for finding in examine(store)}


def _with_free_bytes(free: int):
    return lambda path: SimpleNamespace(total=10**12, used=10**12 - free, free=free)


def test_a_full_disk_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", _with_free_bytes(10**9))
    found = _by_name(Store(tmp_path / "store"))["disk"]
    assert (found.status, found.found) == ("problem", "1.0 GB free") and "flowmodel store clean" in found.remedy


def test_a_new_store_has_no_problem_and_says_what_comes_first(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("shutil.disk_usage", _with_free_bytes(3 * 10**9))
    found = _by_name(Store(tmp_path / "store"))
    assert not [finding for finding in found.values() if finding.status == "problem"]
    assert found["caption encoder"].status == "ok"
    assert "64 pixels, 20 network evaluations" in found["weights pretrained"].found
    assert "64 pixels, 4 network evaluations" in found["weights pretrained-fast"].found
    assert all(name in found["installation"].found for name in ("PyTorch 2", "Dagster 1", "MLflow 3", "ONNX Runtime 1"))
    assert "make quickstart" in found["registered model"].remedy and not (tmp_path / "store").exists()


def test_a_store_that_is_not_writable_is_a_problem(tmp_path, monkeypatch, as_another_user):
    (tmp_path / "store").mkdir(mode=0o555)
    (closed := tmp_path / "closed").mkdir(mode=0o700)
    monkeypatch.setenv("DAGSTER_HOME", str(closed / "dagster"))
    with as_another_user():
        found = _by_name(Store(tmp_path / "store"))
    assert found["store"].status == "problem" and "FLOWMODEL_STORE" in found["store"].remedy
    assert found["daemon"].status == "problem" and str(closed) in found["daemon"].found


def test_a_file_that_is_not_a_database_is_a_problem_and_the_exit_code_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWMODEL_STORE", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "mlflow.db").write_text("no database")
    result = CliRunner().invoke(app, ["doctor", "--json"])
    [model] = [finding for finding in json.loads(result.stdout) if finding["name"] == "registered model"]
    assert result.exit_code == 1 and model["status"] == "problem" and "not a SQLite database" in model["found"]


@pytest.mark.parametrize(("age", "status"), [(10, "ok"), (3600, "note")])
def test_the_daemon_is_seen_by_its_heartbeat(tmp_path, monkeypatch, age, status):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    (tmp_path / "dagster" / "history").mkdir(parents=True)
    last = datetime.fromtimestamp(datetime.now(UTC).timestamp() - age, UTC).replace(tzinfo=None)
    with sqlite3.connect(tmp_path / "dagster" / "history" / "runs.db") as database:
        database.execute("CREATE TABLE daemon_heartbeats (daemon_type TEXT, timestamp TEXT)")
        database.execute("INSERT INTO daemon_heartbeats VALUES ('SENSOR', ?)", (last.isoformat(" "),))
    assert _by_name(Store(tmp_path))["Dagster's daemon"].status == status


def test_a_port_in_use_is_a_note(tmp_path, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("DAGSTER_PORT", str(taken.getsockname()[1]))
        assert _by_name(Store(tmp_path))["port of Dagster"].status == "note"
