"""What Dagster loads: one folder a stage with its assets and checks; resources, jobs and schedules beside them."""
