"""Reads runs and assets for the sensors, and links to them."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import dagster as dg

from pipelines.freshness import CHAMPION
from pipelines.settings import Settings

_PAGE = 20
_REASON = 2000  # characters


def run_link(settings: Settings, run_id: str) -> str:
    return f"{settings.dagster_url.rstrip('/')}/runs/{run_id}"


def asset_link(settings: Settings, key: dg.AssetKey) -> str:
    return f"{settings.dagster_url.rstrip('/')}/assets/{'/'.join(quote(part) for part in key.path)}"


def metadata_of(record: dg.EventLogRecord) -> dict[str, Any]:
    """The metadata of a materialization, as plain values."""
    materialization = record.asset_materialization
    assert materialization is not None, record
    return {name: value.value for name, value in materialization.metadata.items()}


def grid_of_run(instance: dg.DagsterInstance, run_id: str) -> str:
    """Path of the run's sample grid, or an empty string if there is none."""
    for entry in reversed(instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)):
        event = entry.dagster_event
        if event and event.asset_key == dg.AssetKey("sample_grid"):
            return str(event.step_materialization_data.materialization.metadata["path"].value)
    return ""


def failure_reason(context: dg.RunFailureSensorContext) -> str:
    """Why the run failed: the messages of its failed steps and failed blocking checks."""
    reasons = []
    checks = context.instance.all_logs(context.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    for event in (entry.dagster_event for entry in checks):
        assert event is not None
        check = event.asset_check_evaluation_data
        if not check.passed and check.severity is dg.AssetCheckSeverity.ERROR:
            reasons.append(f"{check.check_name} of {check.asset_key.to_user_string()}: {check.description}")
    for event in context.get_step_failure_events():
        failed = event.step_failure_data
        if failed.user_failure_data and failed.user_failure_data.description:
            reasons.append(f"{event.step_key}: {failed.user_failure_data.description}")
        elif failed.error and not reasons:
            error = failed.error.cause or failed.error
            reasons.append(f"{event.step_key}: {error.message.strip()}")
    return "\n".join(reasons or [context.failure_event.message or "The run has failed."])[:_REASON]


def crownings(instance: dg.DagsterInstance) -> Iterator[dg.EventLogRecord]:
    """The times at which a run made or confirmed a champion, latest first."""
    cursor = None
    while True:
        page = instance.fetch_materializations(CHAMPION, limit=_PAGE, cursor=cursor)
        yield from filter(is_champion, page.records)
        if not page.has_more:
            return
        cursor = page.cursor


def is_champion(record: dg.EventLogRecord) -> bool:
    return "champion" in str(metadata_of(record).get("aliases", "")).split(", ")
