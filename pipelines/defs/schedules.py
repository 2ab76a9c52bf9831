"""The weekly schedule; it is off until it is switched on in the Dagster UI."""

import dagster as dg

weekly_retrain = dg.ScheduleDefinition(
    name="weekly_retrain",
    job_name="retrain",
    cron_schedule="0 3 * * 0",  # Sunday night
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Reads the sources again every week and trains if something has changed.",
)
