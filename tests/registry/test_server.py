"""A model on a real MLflow server that is shared with other teams."""

import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from flowmodel.errors import FlowmodelError
from flowmodel.model.pretrained import pretrained_weights
from flowmodel.registry.models import record_evaluation, recorded_model, register_version
from flowmodel.registry.names import CHAMPION, MODEL_NAME
from flowmodel.registry.references import resolve_model
from flowmodel.registry.runs import logged_values
from flowmodel.registry.tracking import Tracking
from flowmodel.store import Store
from tests.mlflow_server import MlflowServer

pytestmark = pytest.mark.slow

TEAMS = 120
QUOTED = 'o\'brien "the" model'


@pytest.fixture
def server(empty_database, tmp_path) -> Iterator[MlflowServer]:
    """With 120 models of other teams, one of them with quotation marks in its name."""
    database = Path(shutil.copy(empty_database, tmp_path / "server.db"))
    client = MlflowClient(tracking_uri=f"sqlite:///{database}", registry_uri=f"sqlite:///{database}")
    own = client.get_experiment_by_name("flowmodel").experiment_id
    client.rename_experiment(own, "of another team")  # its artifacts would be next to the database
    for number in range(TEAMS):
        client.create_registered_model(f"a team's {number}" if number else QUOTED)
    with MlflowServer(database, tmp_path / "server") as running:
        yield running


def test_a_server_of_many_teams_gives_this_project_s_champion_and_keeps_a_copy(
    server, first, prepared, tiny_evaluation, tmp_path, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    store = Store(tmp_path / "store")
    assert resolve_model(store, None).path == pretrained_weights().path  # the server answers that there is none
    with pytest.raises(FlowmodelError, match="model 'models:/o'brien \"the\" model@champion': not in MLflow store"):
        resolve_model(store, f"models:/{QUOTED}@champion")

    tracking = Tracking.of(store)
    recorded = record_evaluation(tracking, first.checkpoint, first.report, tiny_evaluation.grid, prepared.dataset)
    assert recorded_model(tracking, first.checkpoint).model_id == recorded.model_id
    version, is_new = register_version(recorded)
    assert is_new and register_version(recorded)[1] is False
    tracking.client.set_registered_model_alias(MODEL_NAME, CHAMPION, version.version)
    assert logged_values(tracking, recorded.run.run_id, "evaluation/metrics.json") == first.report.as_json()

    found = resolve_model(store, None)
    assert found.path == store.models / f"{first.checkpoint.digest}.safetensors"
    assert found.path.read_bytes() == first.checkpoint.path.read_bytes()
    shutil.rmtree(server.artifacts)
    assert resolve_model(store, None).path == found.path  # not fetched again
    found.path.write_bytes(b"damaged")
    with pytest.raises(FlowmodelError, match="MLflow store http"):
        resolve_model(store, None)

    server.stop()
    with pytest.raises(FlowmodelError, match="the server can't be reached"):
        resolve_model(store, None)


def test_a_server_that_is_not_mlflow_is_reported(tmp_path, monkeypatch):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{web.server_port}")
        with pytest.raises(FlowmodelError, match="the server isn't an MLflow server"):
            resolve_model(Store(tmp_path), None)
        web.shutdown()
