"""What Dagster loads: one folder per stage with its assets and checks; resources, jobs and schedules beside them."""
