"""Notifications of failed runs, new champions, and overdue sources or champions; the end of dead runs; retention.

Each sensor puts its events into the outbox, under an id that stays the same when an event is found again, and `notifications`
sends them. No message is lost when a mail server is down or a daemon is killed.
"""

import json
from datetime import UTC, datetime

import dagster as dg

from pipelines.defs.execution import on_kubernetes
from pipelines.freshness import CHAMPION
from pipelines.notify import Event, send
from pipelines.outbox import Outbox
from pipelines.resources import StoreResource
from pipelines.settings import Settings, load_settings
from pipelines.sources import icon_sources, icons_key
from pipelines.stale_runs import end_stale_runs
from pipelines.watching import asset_link, crownings, failure_reason, grid_of_run, is_champion, metadata_of, run_link


@dg.definitions
def watch() -> dg.Definitions:
    settings = load_settings()
    sensors = [_run_failed(settings), _new_champion(settings), _nothing_fresh(settings), _notifications(settings)]
    return dg.Definitions(sensors=[*sensors, _dead_runs(settings), _retention(settings), _changed_data(settings)])


def _status(enabled: bool) -> dg.DefaultSensorStatus:
    return dg.DefaultSensorStatus.RUNNING if enabled else dg.DefaultSensorStatus.STOPPED


def _run_failed(settings: Settings) -> dg.SensorDefinition:
    @dg.run_failure_sensor(
        minimum_interval_seconds=settings.sensors.every_seconds,
        default_status=_status(settings.sensors.enabled),
        description="Notifies of each failed run, with the reason and its samples.",
    )
    def run_failed(context: dg.RunFailureSensorContext, store: StoreResource) -> None:
        run = context.dagster_run
        Outbox.of(store.open()).put(
            Event(
                id=f"run-failed-{run.run_id}",
                kind="run_failed",
                title=f"Run {run.run_id[:8]} of the job {run.job_name} failed",
                reason=failure_reason(context),
                link=run_link(settings, run.run_id),
                grid=grid_of_run(context.instance, run.run_id),
            )
        )

    return run_failed


def _new_champion(settings: Settings) -> dg.SensorDefinition:
    @dg.sensor(
        minimum_interval_seconds=settings.sensors.every_seconds,
        default_status=_status(settings.sensors.enabled),
        description="Notifies when another version becomes champion, with the gate's reason and the samples.",
    )
    def new_champion(context: dg.SensorEvaluationContext, store: StoreResource) -> dg.SensorResult | dg.SkipReason:
        if context.cursor is None:
            # Champions from before the sensor's first tick are not reported.
            newest = context.instance.fetch_materializations(CHAMPION, limit=1).records
            last = next(crownings(context.instance), None)
            start = {
                "after": newest[0].storage_id if newest else 0,
                "champion": str(metadata_of(last).get("version", "")) if last else "",
            }
            return dg.SensorResult(skip_reason="Begins here.", cursor=json.dumps(start))
        seen = json.loads(context.cursor)
        records = dg.AssetRecordsFilter(CHAMPION, after_storage_id=seen["after"])
        for record in context.instance.fetch_materializations(records, limit=100, ascending=True).records:
            seen["after"] = record.storage_id
            shown = metadata_of(record)
            if not is_champion(record) or str(shown["version"]) == seen["champion"]:
                continue
            seen["champion"] = str(shown["version"])
            Outbox.of(store.open()).put(
                Event(
                    id=f"new-champion-{shown['version']}-{record.storage_id}",
                    kind="new_champion",
                    title=f"Version {shown['version']} of the model {shown.get('model', 'flowmodel')} is champion",
                    reason=str(shown.get("decision", "")),
                    link=run_link(settings, record.run_id),
                    grid=grid_of_run(context.instance, record.run_id),
                )
            )
        return dg.SensorResult(cursor=json.dumps(seen))

    return new_champion


def _nothing_fresh(settings: Settings) -> dg.SensorDefinition:
    @dg.sensor(
        minimum_interval_seconds=settings.sensors.every_seconds,
        default_status=_status(settings.sensors.enabled),
        description="Notifies once when no source was read, or no champion made or confirmed, for longer than allowed.",
    )
    def nothing_fresh(context: dg.SensorEvaluationContext, store: StoreResource) -> dg.SkipReason:
        fresh, instance = settings.freshness, context.instance
        last = []
        if fresh.sources_days is not None:
            for source in icon_sources():
                key = icons_key(source)
                read = instance.fetch_materializations(key, limit=1).records
                last.append((key, f"The source {source.name} was last read", fresh.sources_days, next(iter(read), None)))
        if fresh.champion_days is not None:
            last.append((CHAMPION, "A champion was last made or confirmed", fresh.champion_days, next(crownings(instance), None)))
        now, late = _now(), 0
        for key, words, days, record in last:
            if record is None or now - record.timestamp <= days * 86400:
                continue
            late += 1
            at = datetime.fromtimestamp(record.timestamp, UTC)
            Outbox.of(store.open()).put(
                Event(
                    id=f"not-fresh-{'-'.join(key.path)}-{record.timestamp:.0f}",
                    kind="not_fresh",
                    title=f"{key.to_user_string()} is overdue",
                    reason=f"{words} on {at:%Y-%m-%d at %H:%M} UTC; the settings allow {days:g} days.",
                    link=asset_link(settings, key),
                )
            )
        return dg.SkipReason(f"{late} of {len(last)} are older than the settings allow.")

    return nothing_fresh


def _notifications(settings: Settings) -> dg.SensorDefinition:
    @dg.sensor(
        minimum_interval_seconds=settings.sensors.every_seconds,
        default_status=_status(settings.sensors.enabled),
        description="Sends the notifications of the other sensors; a failed one waits and is sent again.",
    )
    def notifications(context: dg.SensorEvaluationContext, store: StoreResource) -> dg.SkipReason:
        outbox = Outbox.of(store.open())
        told = outbox.deliver(lambda event: send(event, settings.notify, outbox.file))
        return dg.SkipReason(f"Notifications sent: {len(told)}.")

    return notifications


def _dead_runs(settings: Settings) -> dg.SensorDefinition:
    @dg.sensor(
        minimum_interval_seconds=settings.sensors.every_seconds,
        default_status=_status(not on_kubernetes()),  # where Dagster asks the cluster about its runs
        description="Ends runs whose process no longer exists, in Dagster and in MLflow.",
    )
    def dead_runs(context: dg.SensorEvaluationContext, store: StoreResource) -> dg.SkipReason:
        from flowmodel.registry.dead_runs import close_dead_runs

        place = store.open()
        # Dagster's own monitoring can't elsewhere: the default run launcher does not tell whether a run's process exists.
        if ended := end_stale_runs(context.instance, place):
            close_dead_runs(place)
        return dg.SkipReason(f"Ended {len(ended)} runs.")

    return dead_runs


def _retention(settings: Settings) -> dg.SensorDefinition:
    @dg.sensor(
        minimum_interval_seconds=max(1, round(settings.retention.every_hours * 3600)),
        default_status=_status(settings.retention.enabled),
        description="Removes runs, versions, trainings and downloads that are older than the settings keep, while nothing runs.",
    )
    def retention(context: dg.SensorEvaluationContext, store: StoreResource) -> dg.SkipReason:
        from flowmodel.locks import StoreInUse
        from pipelines.retention import remove_expired

        try:
            removed = remove_expired(context.instance, store.open(), settings.retention, _now())
        except StoreInUse as error:
            return dg.SkipReason(str(error))
        for each in removed:
            context.log.info(f"removed: {each.words}")
        return dg.SkipReason(f"Removed {len(removed)}.")

    return retention


def _changed_data(settings: Settings) -> dg.SensorDefinition:
    return dg.AutomationConditionSensorDefinition(
        "default_automation_condition_sensor",  # Dagster's name for it if none is defined
        target=dg.AssetSelection.all(),
        minimum_interval_seconds=settings.sensors.every_seconds,
        default_status=_status(settings.sensors.retrain_on_changed_data),
    )


def _now() -> float:
    return datetime.now(UTC).timestamp()
