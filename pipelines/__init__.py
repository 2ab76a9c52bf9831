"""The Dagster side: assets, checks, jobs and schedules over the library `flowmodel`, which knows nothing of Dagster."""
