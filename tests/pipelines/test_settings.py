"""The settings of unattended operation: their effects, and errors of invalid ones."""

from datetime import timedelta

import dagster as dg
import pytest

from flowmodel.errors import FlowmodelError
from pipelines.definitions import defs
from pipelines.settings import Settings, load_settings


@pytest.fixture
def write(tmp_path, monkeypatch):
    def write(text: str) -> None:
        (tmp_path / "settings.yaml").write_text(text)
        monkeypatch.setenv("FLOWMODEL_SETTINGS", str(tmp_path / "settings.yaml"))

    return write


def test_the_file_that_comes_with_the_project_says_what_is_the_default(monkeypatch):
    monkeypatch.delenv("FLOWMODEL_SETTINGS", raising=False)
    assert load_settings() == Settings()


def test_one_file_sets_schedules_sensors_and_freshness(write):
    write(
        "schedules: {time_zone: Europe/Berlin, retrain: {cron: '30 4 1 * *', enabled: true}, ingest: {cron: '@hourly'}}\n"
        "sensors: {enabled: true, every_seconds: 5, upstream_every_seconds: 60}\n"
        "freshness: {sources_days: 0.5, champion_days: null}\n"
        "retention: {enabled: true, every_hours: 2}\n"
    )
    location = defs()
    repository, graph = location.get_repository_def(), location.resolve_asset_graph()
    retrain, ingest = (repository.get_schedule_def(name) for name in ("weekly_retrain", "daily_ingest"))
    assert (retrain.cron_schedule, retrain.execution_timezone) == ("30 4 1 * *", "Europe/Berlin")
    assert retrain.default_status is dg.DefaultScheduleStatus.RUNNING
    assert (ingest.cron_schedule, ingest.default_status) == ("@hourly", dg.DefaultScheduleStatus.STOPPED)
    sensors = {sensor.name: sensor for sensor in repository.sensor_defs}
    assert sensors.pop("default_automation_condition_sensor").default_status is dg.DefaultSensorStatus.STOPPED
    retention = sensors.pop("retention")
    assert (retention.default_status, retention.minimum_interval_seconds) == (dg.DefaultSensorStatus.RUNNING, 7200)
    assert {sensor.default_status for sensor in sensors.values()} == {dg.DefaultSensorStatus.RUNNING}
    assert sensors.pop("new_upstream").minimum_interval_seconds == 60
    assert {sensor.minimum_interval_seconds for sensor in sensors.values()} == {5}
    fresh = {key.to_user_string(): graph.get(key).freshness_policy for key in graph.get_all_asset_keys()}
    limited = {name: policy.fail_window.to_timedelta() for name, policy in fresh.items() if policy}
    assert limited == {"icons/noto": timedelta(hours=12)}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("schedule: {}", "schedule: unknown field"),
        ("schedules: {time_zone: Mars/Base}", "schedules.time_zone: unknown IANA time zone"),
        ("schedules: {ingest: {cron: every day}}", "schedules.ingest.cron: must be a cron string of five fields"),
        ("sensors: {every_seconds: 0}", "sensors.every_seconds: Input should be greater than or equal to 1, got 0"),
        ("retention: {versions: 0}", "retention.versions: Input should be greater than or equal to 1, got 0"),
        ("freshness: {sources_days: soon}", "freshness.sources_days: Input should be a valid number"),
        ("notify: {kind: pigeon}", "notify.kind: must be file, webhook, slack or email"),
        ("notify: {kind: email, host: mail.example.org}", "notify.email.sender: Field required"),
        ("- a list", "must be a mapping with schedules, sensors"),
        ("a: [", "not valid YAML"),
    ],
)
def test_a_wrong_setting_gives_one_line_that_names_the_field(write, text, says):
    write(text)
    with pytest.raises(FlowmodelError) as raised:
        defs()
    assert says in str(raised.value) and "\n" not in str(raised.value) and "settings.yaml" in str(raised.value)


@pytest.mark.parametrize("text", ["notify: {kind: webhook, url: planted}", "notify: planted", "dagster_url: http://u:planted@h"])
def test_a_secret_in_the_file_is_refused_and_not_repeated(write, text):
    write(text)
    with pytest.raises(FlowmodelError) as raised:
        load_settings()
    assert "planted" not in str(raised.value)
