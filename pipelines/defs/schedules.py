"""When things happen by themselves; both are off until somebody switches them on in the UI."""

import dagster as dg

from pipelines.defs.jobs import retrain

weekly_retrain = dg.ScheduleDefinition(
    name="weekly_retrain",
    job=retrain,
    cron_schedule="0 3 * * 0",  # Sunday night
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Reads the sources again every week and trains where something changed.",
)
