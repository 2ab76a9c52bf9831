"""The Dagster side: assets, checks, jobs and schedules that use the library `flowmodel`, which does not depend on Dagster."""
