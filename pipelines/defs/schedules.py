"""The schedules, at the times in the settings. They are off until switched on in the settings or in the Dagster UI."""

import dagster as dg

from pipelines.settings import ScheduleSettings, load_settings


@dg.definitions
def schedules() -> dg.Definitions:
    chosen = load_settings().schedules

    def schedule(name: str, job: str, settings: ScheduleSettings, description: str) -> dg.ScheduleDefinition:
        return dg.ScheduleDefinition(
            name=name,
            job_name=job,
            cron_schedule=settings.cron,
            execution_timezone=chosen.time_zone,
            default_status=dg.DefaultScheduleStatus.RUNNING if settings.enabled else dg.DefaultScheduleStatus.STOPPED,
            description=description,
        )

    return dg.Definitions(
        schedules=[
            schedule("weekly_retrain", "retrain", chosen.retrain, "Reads the sources again and trains if something has changed."),
            schedule("daily_ingest", "ingest", chosen.ingest, "Reads the sources again, without training."),
        ]
    )
