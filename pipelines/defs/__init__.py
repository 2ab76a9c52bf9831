"""Everything that Dagster loads: a folder per stage with its assets and checks, and modules for resources, jobs and schedules."""
