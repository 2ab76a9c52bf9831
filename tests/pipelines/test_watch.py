"""The events of the sensors, tick by tick, each put into the outbox once."""

import shutil
import time

import dagster as dg
import pytest

from pipelines.definitions import defs
from pipelines.defs.watch import sensors
from pipelines.outbox import Outbox
from pipelines.resources import StoreResource
from tests.pipelines.conftest import Project


class Sensor:
    """A sensor of the real definitions, with the cursor that Dagster would keep between its ticks."""

    def __init__(self, project: Project, name: str, cursor: str | None = None) -> None:
        self._project, self.cursor = project, cursor
        self._sensor = defs().get_repository_def().get_sensor_def(name)

    def tick(self, killed: bool = False):
        """`killed`: the daemon dies before it can keep the cursor."""
        resources = {"store": StoreResource(root=str(self._project.store.root))}
        with dg.build_sensor_context(instance=self._project.instance, cursor=self.cursor, resources=resources) as context:
            data = self._sensor.evaluate_tick(context)
        assert all(reaction.error is None for reaction in data.dagster_run_reactions or ())
        if not killed:
            self.cursor = data.cursor
        return data


def _waiting(project: Project):
    return Outbox.of(project.store).waiting()


def test_a_failed_run_is_reported_once_with_its_reason_even_if_the_daemon_dies(project):
    sensor = Sensor(project, "run_failed")
    shutil.rmtree(project.icons)
    sensor.tick()
    assert not project.run("ingest").success
    sensor.tick(killed=True)
    sensor.tick()
    sensor.tick()
    (run,) = project.instance.get_runs()
    (event,) = _waiting(project)
    assert event.kind == "run_failed" and event.link == f"http://127.0.0.1:3000/runs/{run.run_id}" and not event.grid
    assert event.title == f"Run {run.run_id[:8]} of the job ingest failed"
    assert event.reason.startswith("icons__mine: ") and str(project.icons) in event.reason


def test_failures_before_the_sensor_was_on_are_not_reported(project):
    shutil.rmtree(project.icons)
    assert not project.run("ingest").success
    sensor = Sensor(project, "run_failed")
    sensor.tick()
    sensor.tick()
    assert _waiting(project) == []


def _release(project: Project, version: int, aliases: str, reason: str = "better") -> str:
    """A run that records what the assets of a real one record; returns its id."""

    @dg.op(out=dg.Out(dg.Nothing))
    def release():
        yield dg.AssetMaterialization("sample_grid", metadata={"path": dg.MetadataValue.path(f"/store/{version}.png")})
        shown = {"version": version, "aliases": aliases, "decision": reason, "model": "flowmodel"}
        yield dg.AssetMaterialization("registered_model", metadata=shown)
        yield dg.Output(None)

    @dg.job
    def releasing():
        release()

    return releasing.execute_in_process(instance=project.instance).run_id


def test_a_new_champion_is_reported_once_with_the_decision_and_its_samples(project):
    _release(project, 1, "champion")
    sensor = Sensor(project, "new_champion")
    sensor.tick()
    _release(project, 1, "champion")  # a retraining on unchanged data
    _release(project, 2, "challenger")
    sensor.tick()
    assert _waiting(project) == []
    run = _release(project, 3, "champion", "no worse than version 1")
    sensor.tick(killed=True)
    sensor.tick()
    sensor.tick()
    (event,) = _waiting(project)
    assert event.title == "Version 3 of the model flowmodel is champion" and event.reason == "no worse than version 1"
    assert event.grid == "/store/3.png" and event.link.endswith(f"/runs/{run}")


@pytest.fixture
def strict(project, monkeypatch):
    """Nothing may be older than a minute."""
    settings = project.root / "settings.yaml"
    settings.write_text("freshness: {sources_days: 0.0007, champion_days: 0.0007}\ndagster_url: https://dagster.example.org/\n")
    monkeypatch.setenv("FLOWMODEL_SETTINGS", str(settings))
    return project


def test_overdue_assets_are_reported_once_until_they_are_fresh_again(strict, monkeypatch):
    strict.instance.report_runless_asset_event(dg.AssetMaterialization(["icons", "mine"]))
    _release(strict, 1, "champion")
    sensor = Sensor(strict, "nothing_fresh")
    sensor.tick()
    assert _waiting(strict) == []

    monkeypatch.setattr(sensors, "_now", lambda: time.time() + 3600)
    sensor.tick()
    sensor.tick()
    told = {event.title: event for event in _waiting(strict)}
    assert told.keys() == {"icons/mine is overdue", "registered_model is overdue"}
    assert told["icons/mine is overdue"].link == "https://dagster.example.org/assets/icons/mine"
    assert "the settings allow 0.0007 days" in told["registered_model is overdue"].reason
    _release(strict, 2, "challenger")  # made, but no champion
    sensor.tick()
    assert len(_waiting(strict)) == 2


def test_the_sending_sensor_writes_waiting_events_to_the_store(project):
    shutil.rmtree(project.icons)
    watching, sending = Sensor(project, "run_failed"), Sensor(project, "notifications")
    watching.tick()
    project.run("ingest")
    watching.tick()
    assert sending.tick().skip_message == "Notifications sent: 1."
    assert sending.tick().skip_message == "Notifications sent: 0."
    (line,) = Outbox.of(project.store).file.read_text().splitlines()
    assert "run_failed" in line
