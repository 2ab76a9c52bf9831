"""Dagster's own memory: in the store, unless DAGSTER_HOME names another place.

Without it Dagster would forget every run, and with it the settings of dagster.yaml.
"""

import os
import shutil
from pathlib import Path

import dagster as dg

from flowmodel.store import IS_CHECKOUT, PROJECT_ROOT, Store
from pipelines.stale_runs import end_stale_runs

SETTINGS = "dagster.yaml"


def prepare_home(store: Store) -> Path:
    """Make sure that there is a DAGSTER_HOME with the project's settings, for this process and those that it starts.

    A home outside the store may have settings of its own, which stay. Runs whose process is gone are ended.
    """
    own = store.root / "dagster"
    home = Path(os.environ.setdefault("DAGSTER_HOME", str(own.resolve()))).expanduser()
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "true")
    home.mkdir(parents=True, exist_ok=True)
    is_own = home.resolve() == own.resolve()
    if IS_CHECKOUT and (is_own or not (home / SETTINGS).exists()):
        shutil.copyfile(PROJECT_ROOT / SETTINGS, home / SETTINGS)
    with dg.DagsterInstance.get() as instance:
        for run_id in end_stale_runs(instance, store):
            print(f"run {run_id[:8]} belongs to a killed process and is marked as canceled")
    return home
