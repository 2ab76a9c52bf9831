"""Links from Dagster to MLflow, including those of earlier runs, lead to MLflow's current port."""

import dagster as dg
import pytest

from flowmodel.registry.tracking import Tracking
from flowmodel.store import Store
from pipelines.links import lead_to

RUN = "#/experiments/1/runs/0123?workflowType=machine_learning"
ELSEWHERE = "http://127.0.0.1:3000/assets"


@pytest.fixture
def store(tmp_path, monkeypatch) -> Store:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    (tmp_path / "dagster").mkdir()
    return Store(tmp_path)


def _run(port: int) -> None:
    @dg.asset
    def model(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        context.log.info(f"curves: http://127.0.0.1:{port}/{RUN}")
        return dg.MaterializeResult(metadata={"run": dg.MetadataValue.url(f"http://127.0.0.1:{port}/{RUN}"), "other": ELSEWHERE})

    with dg.DagsterInstance.get() as instance:
        assert dg.materialize([model], instance=instance).success


def _links() -> tuple[list[str], list[str]]:
    """Of the materializations, and of the log of all runs, from the newest on."""
    with dg.DagsterInstance.get() as instance:
        key = dg.AssetKey("model")
        shown = [record.asset_materialization.metadata for record in instance.fetch_materializations(key, limit=9).records]
        assert instance.get_latest_materialization_event(key).asset_materialization.metadata == shown[0]
        assert {str(values["other"].value) for values in shown} == {ELSEWHERE}
        told = [entry.user_message for run in instance.get_runs() for entry in instance.all_logs(run.run_id)]
    return [values["run"].value for values in shown], [line.partition(" ")[2] for line in told if line.startswith("curves: ")]


def test_links_of_earlier_runs_follow_mlflow_to_another_port(store):
    _run(5252)
    lead_to(store, 41000)
    there = f"http://127.0.0.1:41000/{RUN}"
    assert _links() == ([there], [there]) and Tracking.of(store).ui_address == "http://127.0.0.1:41000"
    _run(41000)
    lead_to(store, 42000)
    there = f"http://127.0.0.1:42000/{RUN}"
    assert _links() == ([there] * 2, [there] * 2)


def test_a_run_that_knew_another_port_is_corrected_at_the_next_start(store):
    lead_to(store, 41000)
    _run(5252)
    lead_to(store, 41000)
    assert _links()[0] == [f"http://127.0.0.1:41000/{RUN}"]
